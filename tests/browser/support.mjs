/** The server that the tests of its page ask, and what they do with the browser. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import * as shared from "./shared.mjs";

export { download, forget, PHONE, shoot, tab, waitFor } from "./shared.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const START_MS = 60_000;
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

export const openBrowser = () => shared.launch(chromium);
export const checkAccess = (page, what) => shared.checkAccess(page, AXE, what);
export const checkScreens = (page, state) => shared.checkScreens(page, AXE, state);
export const python = (...code) => shared.python("-c", ...code);

/** Make the pictures, and what the library makes of them; returns their folder. */
export function makePictures() {
  const folder = mkdtempSync(join(tmpdir(), "derain-browser-"));
  shared.python(join(HERE, "pictures.py"), folder);
  return folder;
}

/** Open the page; `close` checks that nothing went elsewhere and nothing broke. */
export async function openPage(browser, base, options = {}) {
  const opened = await shared.watchedPage(browser, base, options);
  await opened.page.goto(base);
  return opened;
}

/** `derain serve` on a free port; `stop` asks it to end as a service manager would. */
export async function serve(env = {}, ...options) {
  const child = spawn(shared.PYTHON, ["-m", "derain", "serve", "--port", "0", ...options], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  let printed = "";
  child.stderr.on("data", (data) => (said += data));
  child.stdout.on("data", (data) => (printed += data));
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const until = Date.now() + START_MS;
  let base;
  for (;;) {
    base = /^(http:\S+)\n/.exec(printed)?.[1].replace(/\/?$/, "/");
    const answer = base && (await fetch(`${base}readyz`).catch(() => null));
    if (answer?.ok) break;
    assert.ok(child.exitCode === null && Date.now() < until, `the server did not start: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const stop = async () => {
    child.kill("SIGTERM");
    return ended;
  };
  return { base, stop };
}

/** Mean difference of two screenshots, in levels of 255, over a part of them given as shares. */
export async function difference(page, one, other, [left, right] = [0, 1]) {
  const sources = [one, other].map((png) => `data:image/png;base64,${png.toString("base64")}`);
  return page.evaluate(
    async ([sources, left, right]) => {
      const pixels = [];
      for (const source of sources) {
        const image = new Image();
        image.src = source;
        await image.decode();
        const { width, height } = image;
        const canvas = new OffscreenCanvas(width, height);
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const from = Math.round(left * width);
        pixels.push(context.getImageData(from, 0, Math.round(right * width) - from, height).data);
      }
      return (
        pixels[0].reduce((sum, level, place) => sum + Math.abs(level - pixels[1][place]), 0) /
        pixels[0].length
      );
    },
    [sources, left, right],
  );
}

/** Answer posted pictures in the server's place, while there are answers. */
export async function answerPosts(page, ...answers) {
  await page.route("**/v1/derain", (route) => {
    const answer = answers.shift();
    if (!answer) return route.continue();
    if (answer === "gone") return route.abort("connectionrefused");
    const { status, detail = "", headers = {} } = answer;
    return route.fulfill({
      status,
      headers,
      contentType: "application/problem+json",
      body: JSON.stringify({ status, detail }),
    });
  });
}
