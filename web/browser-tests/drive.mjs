/**
 * Derains files in the page, one after the other, for benchmarks/web/page.py.
 *
 *     node drive.mjs FOLDER FILE...
 *
 * Prints a line of JSON when the page is ready, and one for each file; results go to FOLDER. Each
 * file is begun when a line is read from the standard input.
 */

import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { download, host, openBrowser, openPage, ready, waitFor } from "./support.mjs";

const [folder, ...files] = process.argv.slice(2);
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const LONG_MS = 1_800_000;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const site = await host();
const browser = await openBrowser();
const { page, close } = await openPage(browser, site.base);
await ready(page);
print({
  browser: browser.version(),
  means: await page.locator("#runs").textContent(),
  longest: await page.evaluate(() => window.longest),
});
for (const [place, file] of files.entries()) {
  await lines.next();
  await page.evaluate(() => (window.longest = 0));
  const begin = Date.now();
  await page.setInputFiles("#image", file);
  await waitFor(page, "done", 1, LONG_MS);
  const whole = (Date.now() - begin) / 1000;
  const facts = await page.locator("#facts").textContent();
  const longest = await page.evaluate(() => window.longest);
  const result = join(folder, `${place}-${basename(file)}`);
  writeFileSync(result, (await download(page)).bytes);
  print({ file, result, whole, facts, longest });
  await page.click("#remove");
}
await close();
print({ requests: site.asked.length });
await browser.close();
await site.stop();
process.exit(0);
