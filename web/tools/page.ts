/** The page of `derain serve` as that of this site: what it says of a server is replaced. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

export const PAGE = join(import.meta.dirname, "..", "..", "derain", "serve", "page");

/** What a page from this site may do, and thus what it cannot: ask any other host for anything. */
export const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const HEAD = `<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<link rel="manifest" href="manifest.webmanifest" vite-ignore>
<link rel="apple-touch-icon" href="icons/icon-192.png" vite-ignore>`;

/** Text of the page, and what stands there instead; each occurs once. */
const CHANGES: [string, string][] = [
  [
    "Takes the rain out of photographs. Pictures are sent to this server only.",
    "Takes the rain out of photographs, in this browser. Pictures stay on this device.",
  ],
  ['<meta name="referrer" content="same-origin">', '<meta name="referrer" content="no-referrer">'],
  [
    '  <nav aria-label="More"><a href="docs">HTTP API</a></nav>',
    '  <nav aria-label="More"><a href="licences.txt" vite-ignore>Licences</a></nav>',
  ],
  [
    "They are sent to this server only, and it keeps no copy.",
    "They stay on this device. This browser does the work, and nothing is sent anywhere.",
  ],
  [' method="post" action="v1/derain" enctype="multipart/form-data"', ""],
  ['accept="image/*,.heic,.heif,.hif,.avif,.tif,.tiff"', 'accept="image/*"'],
  ["JPEG, PNG, WebP, AVIF, HEIC, TIFF or BMP<span", "JPEG, PNG, WebP, AVIF or BMP<span"],
  [
    "Balanced suits most pictures. Fast is quicker, Best takes longest.",
    "Balanced suits most pictures. Fast is quicker.",
  ],
  [
    "Without JavaScript the answer is the picture itself, which you can save from the browser.",
    "This page needs JavaScript: the browser itself takes the rain out.",
  ],
  ['      <button class="button primary no-js" type="submit">Derain</button>\n', ""],
  ['derain <span id="version"></span>', 'derain <span id="version"></span><span id="runs"></span>'],
  ['<link rel="icon" href="icon.svg"', `${HEAD}\n<link rel="icon" href="icon.svg" vite-ignore`],
  [
    '<link rel="stylesheet" href="style.css">',
    '<link rel="stylesheet" href="../derain/serve/page/style.css">',
  ],
  [
    '<script type="module" src="server.js"></script>',
    '<script type="module" src="./src/main.ts"></script>',
  ],
];

/** The site's index.html. */
export function pageOf(): string {
  let text = readFileSync(join(PAGE, "index.html"), "utf8");
  for (const [before, after] of CHANGES) {
    const count = text.split(before).length - 1;
    if (count !== 1)
      throw new Error(
        `derain/serve/page/index.html has ${count} of ${before}; expected 1: change tools/page.ts`,
      );
    text = text.replace(before, after);
  }
  const left = text.replace(/<!--.*?-->/gs, "").match(/[^>]*\bserver\b[^<]*/g) ?? [];
  // The field for a server's key stays hidden: there is none here.
  const unknown = left.filter((one) => !/asks for a key|Whoever runs the server/.test(one));
  if (unknown.length) throw new Error(`index.html still speaks of a server: ${unknown.join("; ")}`);
  return text
    .replace(/<link rel="modulepreload"[^>]*>\n/g, "")
    .replace(/<!-- With no-referrer.*?-->\n/s, "")
    .replace(/(<img src="(?:samples|icon)[^"]*")/g, "$1 vite-ignore");
}
