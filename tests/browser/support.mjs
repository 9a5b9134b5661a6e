/** A server, a browser, and what every test checks of the page. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const HERE = dirname(fileURLToPath(import.meta.url));
const PYTHON = process.env.PYTHON ?? "python3";
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SCREENSHOTS = process.env.DERAIN_SCREENSHOTS;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const START_MS = 60_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

/** Make the pictures, and what the library makes of them; returns their folder. */
export function makePictures() {
  const folder = mkdtempSync(join(tmpdir(), "derain-browser-"));
  const { status, stderr } = spawnSync(PYTHON, [join(HERE, "pictures.py"), folder], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return folder;
}

export const forget = (folder) => rmSync(folder, { recursive: true, force: true });

/** `derain serve` on a free port; `stop` asks it to end as a service manager would. */
export async function serve(env = {}, ...options) {
  const child = spawn(PYTHON, ["-m", "derain", "serve", "--port", "0", ...options], {
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

export async function openBrowser() {
  assert.ok(existsSync(CHROMIUM), `no Chromium at ${CHROMIUM}; set CHROMIUM`);
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/**
 * Open the page; `close` checks that nothing went elsewhere and nothing broke.
 * @returns {Promise<{page: import("playwright-core").Page, close: () => Promise<void>}>}
 */
export async function openPage(browser, base, options = {}) {
  const context = await browser.newContext({
    ...DESKTOP,
    reducedMotion: "reduce",
    acceptDownloads: true,
    ...options,
  });
  context.setDefaultTimeout(30_000);
  const elsewhere = [];
  const broken = [];
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith(`blob:${base}`)) elsewhere.push(url);
  });
  const page = await context.newPage();
  page.on("websocket", (socket) => elsewhere.push(socket.url()));
  page.on("pageerror", (error) => broken.push(String(error)));
  page.on("console", (message) => {
    // The browser's own view of a picture has inline styles, which the policy forbids.
    if (message.location().url.endsWith("/v1/derain")) return;
    if (/Content.Security.Policy|violates/i.test(message.text())) broken.push(message.text());
  });
  await page.goto(base);
  const close = async () => {
    await context.close();
    assert.deepEqual(elsewhere, [], "requests to other hosts");
    assert.deepEqual(broken, [], "errors in the page");
  };
  return { context, page, close };
}

export const tab = (page, place) => page.getByRole("tab").nth(place);

/** Wait until as many pictures are in a state. */
export async function waitFor(page, state, count = 1) {
  await page.waitForFunction(
    ([state, count]) =>
      document.querySelectorAll(`[role=tab][data-state=${state}]`).length >= count,
    [state, count],
  );
}

export async function download(page, selector) {
  const [saved] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
  return {
    name: saved.suggestedFilename(),
    bytes: readFileSync(await saved.path()),
    path: await saved.path(),
  };
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

/** Fail on what axe-core finds, whatever its weight. */
export async function checkAccess(page, what) {
  // Evaluated rather than added as a script, which the page's security policy forbids.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    axe.run(document, { resultTypes: ["violations"] }),
  );
  const found = violations.map(
    ({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).join(" | ")}`,
  );
  assert.deepEqual(found, [], what);
}

export async function shoot(page, name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
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

export function python(...code) {
  const { status, stdout, stderr } = spawnSync(PYTHON, ["-c", ...code], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}
