/** The models of the site, and their files, fetched with a report of how far they are. */

import { models as files, runtimes, type SiteFile } from "virtual:site";
import facts from "./facts.json";
import { Problem } from "./problem.js";
import type { Planes, Tiling } from "./tiles.js";

export type Backend = "wasm" | "webgpu";

export interface Model {
  name: string;
  title: string;
  about: string;
  parameters: number;
  default: boolean;
  leastSide: number;
  /** `memory`: bytes that a pixel of a tile takes at the peak. */
  tiling: Tiling & { memory: number };
  /** What it makes of the picture that `probePicture` draws: levels in Base64. */
  probe: string;
}

export const VERSION: string = facts.version;
export const MODELS: readonly Model[] = facts.models;
export const QUALITIES: Readonly<Record<string, string>> = facts.qualities;
const PROBE_SIDE = 32;

/** The model that was chosen by name, by quality, or by neither. */
export function chosen(model: string, quality: string): Model {
  const name = model || QUALITIES[quality];
  const found = MODELS.find((one) => (name ? one.name === name : one.default));
  if (!found)
    throw new Problem(
      "other",
      `no model ${name}; expected ${MODELS.map((one) => one.name).join(" or ")}.`,
    );
  return found;
}

/** Everything that a backend needs to work offline. */
export function filesFor(backend: Backend): string[] {
  const { script, binary } = runtimes[backend];
  const ofModels = Object.values(files).flatMap(({ graph, weights }) => [graph, weights]);
  return [script, binary, ...ofModels].map(({ path }) => path);
}

/** Fetch files together; `onShare` gets how much of them there is. */
export async function fetched(
  wanted: SiteFile[],
  base: string,
  onShare: (share: number) => void,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const total = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  let there = 0;
  const report = (count: number) => {
    there += count;
    onShare(Math.min(there / total, 1));
  };
  return Promise.all(wanted.map((file) => fetchedOne(file, base, report)));
}

async function fetchedOne(
  { path, bytes }: SiteFile,
  base: string,
  report: (count: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const missing = new Problem(
    "unreachable",
    "connect to the internet, then try again; after that it works offline.",
    "The model could not be loaded",
  );
  const content = new Uint8Array(bytes);
  let at = 0;
  try {
    const response = await fetch(new URL(path, base));
    if (!response.ok || !response.body) throw missing;
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      content.set(value, at);
      at += value.length;
      report(value.length);
    }
  } catch {
    throw missing;
  }
  if (at !== bytes) throw missing;
  return content;
}

/** A picture with bright slanted lines on a ramp; tools/web_facts.py draws the same. */
export function probePicture(): Planes {
  const side = PROBE_SIDE;
  const plane = side * side;
  const data = new Float32Array(3 * plane);
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const line = (3 * x + y) % 16 === 0 ? 90 : 0;
      [40 + 3 * x + line, 50 + 3 * y + line, 60 + x + y + line].forEach((level, channel) => {
        data[channel * plane + y * side + x] = level / 255;
      });
    }
  }
  return { width: side, height: side, data };
}

/** Whether what came out of the probe's picture is what the library makes of it, to a level. */
export function isAsExpected(model: Model, clean: Float32Array): boolean {
  const expected = Uint8Array.from(atob(model.probe), (letter) => letter.charCodeAt(0));
  const plane = PROBE_SIDE * PROBE_SIDE;
  return expected.every((level, place) => {
    const found = clean[(place % 3) * plane + Math.floor(place / 3)]! * 255;
    return Math.abs(Math.min(Math.max(found, 0), 255) - level) <= 1.5;
  });
}
