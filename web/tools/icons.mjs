/** Draws icons/*.png from the page's icon.svg, in Chromium: node tools/icons.mjs */

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const WEB = join(import.meta.dirname, "..");
const svg = readFileSync(join(WEB, "..", "derain", "serve", "page", "icon.svg")).toString("base64");
/** File, side in pixels, and how much of the side the drop takes: masks cut off a fifth. */
const ICONS = [
  ["icon-192.png", 192, 0.86],
  ["icon-512.png", 512, 0.86],
  ["icon-maskable-512.png", 512, 0.62],
];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
mkdirSync(join(WEB, "icons"), { recursive: true });
for (const [name, side, share] of ICONS) {
  const page = await browser.newPage({ viewport: { width: side, height: side } });
  const style = `margin:0;width:${side}px;height:${side}px;display:grid;place-items:center;background:#f3f6f8`;
  const image = `<img src="data:image/svg+xml;base64,${svg}" width="${Math.round(side * share)}">`;
  await page.setContent(`<body style="${style}">${image}</body>`);
  await page.screenshot({ path: join(WEB, "icons", name) });
  await page.close();
}
await browser.close();
