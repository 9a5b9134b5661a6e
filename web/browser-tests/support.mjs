/** A static host, a browser, and what every test checks of the page. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";

export const WEB = join(import.meta.dirname, "..");
const SITE = process.env.DERAIN_SITE ?? join(WEB, "dist");
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
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};
const ISOLATING = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/** The site on a free port, below a folder; `isIsolated` sends the headers for threads. */
export async function host({ isIsolated = false, folder = "/derain/" } = {}) {
  const asked = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    asked.push(`${request.method} ${path}`);
    const rest = path.startsWith(folder) ? path.slice(folder.length) || "index.html" : "?";
    const file = join(SITE, normalize(`/${rest}`));
    if (request.method !== "GET" || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const headers = { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" };
    response.writeHead(200, { ...headers, ...(isIsolated ? ISOLATING : {}) });
    response.end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://localhost:${server.address().port}${folder}`;
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { base, asked, stop };
}

export async function openBrowser(...flags) {
  assert.ok(existsSync(CHROMIUM), `no Chromium at ${CHROMIUM}; set CHROMIUM`);
  assert.ok(existsSync(join(SITE, "index.html")), "no site; run: npm run build");
  return chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...flags] });
}

/** Counts tasks of the main thread that take long; `window.longest` is the longest in ms. */
const WATCH = () => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries())
      window.longest = Math.max(window.longest, duration);
  }).observe({ type: "longtask", buffered: true });
};

/**
 * Open the page; `close` checks that nothing went elsewhere and nothing broke.
 * @returns {Promise<{page: import("playwright-core").Page, context, close: () => Promise<void>}>}
 */
export async function openPage(browser, base, { search = "", ...options } = {}) {
  const context = await browser.newContext({
    ...DESKTOP,
    reducedMotion: "reduce",
    acceptDownloads: true,
    ...options,
  });
  context.setDefaultTimeout(60_000);
  const elsewhere = [];
  const broken = [];
  // Requests of the worker and of the service worker are among them.
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith(`blob:${new URL(base).origin}`))
      elsewhere.push(url);
    if (request.method() !== "GET") elsewhere.push(`${request.method()} ${url}`);
  });
  const page = await context.newPage();
  await page.addInitScript(WATCH);
  page.on("websocket", (socket) => elsewhere.push(socket.url()));
  page.on("pageerror", (error) => broken.push(String(error)));
  page.on("console", (message) => {
    if (/Content.Security.Policy|violates/i.test(message.text())) broken.push(message.text());
  });
  await page.goto(base + search);
  const close = async () => {
    await context.close();
    assert.deepEqual(elsewhere, [], "requests that are not for the site's files");
    assert.deepEqual(broken, [], "errors in the page");
  };
  return { context, page, close };
}

/** Wait until the page is controlled by the service worker, and all files are kept. */
export const ready = (page) =>
  page.waitForFunction(() => /Works offline/.test(document.getElementById("runs")?.textContent));

export const tab = (page, place) => page.getByRole("tab").nth(place);

/** Wait until as many pictures are in a state. */
export async function waitFor(page, state, count = 1, timeout = 60_000) {
  await page.waitForFunction(
    ([state, count]) =>
      document.querySelectorAll(`[role=tab][data-state=${state}]`).length >= count,
    [state, count],
    { timeout },
  );
}

export async function download(page, selector = "#download") {
  const [saved] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
  const path = await saved.path();
  return { name: saved.suggestedFilename(), path, bytes: readFileSync(path) };
}

/** Fail on what axe-core finds, whatever its weight. */
export async function checkAccess(page, what) {
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
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

/** Run pictures.py beside this file; returns what it prints, as JSON. */
export function python(...given) {
  const script = join(import.meta.dirname, "pictures.py");
  const { status, stdout, stderr } = spawnSync(PYTHON, [script, ...given], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout ? JSON.parse(stdout) : null;
}

/** A folder with the pictures that tests need, and what the library makes of them. */
export function makePictures() {
  const folder = mkdtempSync(join(tmpdir(), "derain-web-"));
  python("make", folder);
  return folder;
}

export const forget = (folder) => rmSync(folder, { recursive: true, force: true });
