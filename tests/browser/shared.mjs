/**
 * What the tests of both pages, that of `derain serve` and that of `web/`, do with a browser.
 *
 * Packages are those of the folder whose tests run, which hands them over.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

export const PYTHON = process.env.PYTHON ?? "python3";
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
const TIMEOUT_MS = 60_000;
const SCREENS = {
  "desktop-light": [1280, 800, "light"],
  "desktop-dark": [1280, 800, "dark"],
  "phone-light": [360, 740, "light"],
  "narrow-dark": [320, 640, "dark"],
};

const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

/** Start the browser that CHROMIUM names with Playwright's `chromium`. */
export async function launch(chromium, ...flags) {
  assert.ok(existsSync(CHROMIUM), `no Chromium at ${CHROMIUM}; set CHROMIUM`);
  return chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...flags] });
}

/**
 * Make a page that is to open `base`; `close` checks that nothing went elsewhere and nothing broke.
 *
 * Requests of workers are among those that `elsewhere` lists.
 */
export async function watchedPage(browser, base, options = {}) {
  const context = await browser.newContext({
    ...DESKTOP,
    reducedMotion: "reduce",
    acceptDownloads: true,
    ...options,
  });
  context.setDefaultTimeout(TIMEOUT_MS);
  const elsewhere = [];
  const broken = [];
  const own = `blob:${new URL(base).origin}`;
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith(own)) elsewhere.push(url);
  });
  const page = await context.newPage();
  page.on("websocket", (socket) => elsewhere.push(socket.url()));
  page.on("pageerror", (error) => broken.push(String(error)));
  page.on("console", (message) => {
    // The browser's own view of a picture has inline styles, which the policy forbids.
    if (message.location().url.endsWith("/v1/derain")) return;
    if (/Content.Security.Policy|violates/i.test(message.text())) broken.push(message.text());
  });
  const close = async () => {
    await context.close();
    assert.deepEqual(elsewhere, [], "requests to other hosts, or of other kinds");
    assert.deepEqual(broken, [], "errors in the page");
  };
  return { context, page, elsewhere, close };
}

export const tab = (page, place) => page.getByRole("tab").nth(place);

/** Wait until as many pictures are in a state. */
export async function waitFor(page, state, count = 1, timeout = TIMEOUT_MS) {
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

/** Fail on what axe-core finds, whatever its weight; `axe` is the path of its script. */
export async function checkAccess(page, axe, what) {
  // Evaluated rather than added as a script, which the page's security policy forbids.
  await page.evaluate(readFileSync(axe, "utf8"));
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ["violations"] }),
  );
  const found = violations.map(
    ({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).join(" | ")}`,
  );
  assert.deepEqual(found, [], what);
}

/** Check on screens of every kind that a state bars nobody and fits; shoot it there. */
export async function checkScreens(page, axe, state) {
  for (const [screen, [width, height, colorScheme]] of Object.entries(SCREENS)) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await shoot(page, `${screen}-${state}`);
    await checkAccess(page, axe, `${screen}, ${state}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${screen}, ${state}: ${wide} pixels wide in ${width}`);
  }
}

export async function shoot(page, name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** Run Python; returns what it prints. */
export function python(...given) {
  const { status, stdout, stderr } = spawnSync(PYTHON, given, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}

export const forget = (folder) => rmSync(folder, { recursive: true, force: true });
