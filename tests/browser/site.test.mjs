/** The documentation as a site works from the file system, and asks no other host for anything. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { launch, PYTHON, shoot } from "./shared.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

let site;
let browser;

before(async () => {
  site = mkdtempSync(join(tmpdir(), "derain-site-"));
  const built = spawnSync(PYTHON, ["-m", "mkdocs", "build", "--strict", "--site-dir", site], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, NO_MKDOCS_2_WARNING: "1" },
  });
  assert.equal(built.status, 0, built.stderr);
  browser = await launch(chromium);
});

after(async () => {
  await browser?.close();
  rmSync(site, { recursive: true, force: true });
});

/** Open a page of the site from the file system; `asked` collects what goes to other places. */
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const asked = [];
  const broken = [];
  page.on("request", (request) => {
    if (!/^(file|data|blob|about):/.test(request.url())) asked.push(request.url());
  });
  page.on("requestfailed", (request) => {
    // What was under way when the next page was opened is no fault.
    if (request.failure()?.errorText !== "net::ERR_ABORTED") broken.push(request.url());
  });
  page.on("pageerror", (error) => broken.push(String(error)));
  await page.goto(pathToFileURL(join(site, path)).href, { waitUntil: "load" });
  return { page, asked, broken, close: () => context.close() };
}

const pages = () =>
  readdirSync(site, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".html") && name !== "404.html");

test("every page loads from the file system, and all it needs lies beside it", async () => {
  assert.ok(pages().length > 40);
  const { page, asked, broken, close } = await open("index.html");
  for (const name of pages()) {
    await page.goto(pathToFileURL(join(site, name)).href, { waitUntil: "load" });
    assert.ok(await page.locator("article h1").first().isVisible(), name);
    const empty = await page
      .locator("article img")
      .evaluateAll((images) => images.filter((image) => !image.naturalWidth).map((i) => i.src));
    assert.deepEqual([...asked, ...broken, ...empty], [], name);
  }
  await close();
});

test("links within the site lead to pages that are there", async () => {
  const { page, close } = await open("index.html");
  const links = await page.locator("a[href]").evaluateAll((all) => all.map((a) => a.href));
  await close();
  const places = new Set(pages());
  const local = links
    .filter((link) => link.startsWith("file:"))
    .map((link) => relative(site, fileURLToPath(link.replace(/#.*/, ""))));
  assert.ok(local.length > 40);
  assert.deepEqual(
    local.filter((path) => !places.has(path)),
    [],
  );
});

test("the search finds a page without a server", async () => {
  const { page, asked, close } = await open("index.html");
  await page.locator("input.md-search__input").click();
  await page.locator("input.md-search__input").pressSequentially("tiling", { delay: 20 });
  const found = page.locator(".md-search-result__link").first();
  await found.waitFor({ state: "visible" });
  assert.match(await found.innerText(), /[Tt]il/);
  await shoot(page, "site-search");
  assert.deepEqual(asked, []);
  await close();
});

test("pages look as they should", async () => {
  const shown = ["index", "quickstart", "guides/evaluate", "reference/cli", "reference/api/derain"];
  for (const name of shown) {
    const { page, close } = await open(`${name}.html`);
    await shoot(page, `site-${name.replaceAll("/", "-")}`);
    await close();
  }
  const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
  const { page, close } = await open("quickstart.html", phone);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 360, `the page is ${wide} pixels wide`);
  await shoot(page, "site-phone");
  await close();
});
