/** A static host, and what the tests of the site do with the browser. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";
import * as shared from "../../tests/browser/shared.mjs";

export { download, forget, PHONE, shoot, tab, waitFor } from "../../tests/browser/shared.mjs";

const SITE = process.env.DERAIN_SITE ?? join(import.meta.dirname, "..", "dist");
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
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

export const checkScreens = (page, state) => shared.checkScreens(page, AXE, state);

export async function openBrowser(...flags) {
  assert.ok(existsSync(join(SITE, "index.html")), "no site; run: npm run build");
  return shared.launch(chromium, ...flags);
}

/** Counts tasks of the main thread that take long; `window.longest` is the longest in ms. */
const WATCH = () => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries())
      window.longest = Math.max(window.longest, duration);
  }).observe({ type: "longtask", buffered: true });
};

/** Open the page; `close` checks that only the site's files were asked for, and nothing broke. */
export async function openPage(browser, base, { search = "", ...options } = {}) {
  const opened = await shared.watchedPage(browser, base, options);
  opened.context.on("request", (request) => {
    if (request.method() !== "GET") opened.elsewhere.push(`${request.method()} ${request.url()}`);
  });
  await opened.page.addInitScript(WATCH);
  await opened.page.goto(base + search);
  return opened;
}

/** Wait until the page is controlled by the service worker, and all files are kept. */
export const ready = (page) =>
  page.waitForFunction(() => /Works offline/.test(document.getElementById("runs")?.textContent));

/** Run pictures.py beside this file; returns what it prints, as JSON. */
export function python(...given) {
  const said = shared.python(join(import.meta.dirname, "pictures.py"), ...given);
  return said ? JSON.parse(said) : null;
}

/** A folder with the pictures that tests need, and what the library makes of them. */
export function makePictures() {
  const folder = mkdtempSync(join(tmpdir(), "derain-web-"));
  python("make", folder);
  return folder;
}
