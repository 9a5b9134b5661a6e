/** Tiles: the same windows as the library's, and blended without a trace. */

import { expect, test } from "vitest";
import { derained, padded } from "../src/derain.js";
import { MODELS } from "../src/models.js";
import {
  blended,
  grid,
  limited,
  rounded,
  spans,
  weights,
  type Planes,
  type Span,
  type Tiling,
} from "../src/tiles.js";
import windows from "./windows.json";

const flat = ({ start, stop, fadeIn, fadeOut }: Span) => [start, stop, ...fadeIn, ...fadeOut];

test("axes are cut as the library cuts them", () => {
  expect(windows.axes.length).toBeGreaterThan(100);
  for (const { length, tile, overlap, fade, multiple, ...expected } of windows.axes) {
    const found = spans(length, tile, overlap, fade, multiple);
    expect(found.map(flat)).toEqual(expected.spans);
    const shares = [...weights(found[0]!)].slice(-40);
    shares.forEach((share, k) => expect(share).toBeCloseTo(expected.weights[k]!, 5));
  }
});

test("pictures are cut as the library cuts them, also where memory is short", () => {
  for (const { model, most, height, width, rows, columns } of windows.pictures) {
    const { tiling } = MODELS.find(({ name }) => name === model)!;
    const found = grid({ width, height }, limited(tiling, most));
    expect(found.rows.map(flat)).toEqual(rows);
    expect(found.columns.map(flat)).toEqual(columns);
  }
});

test("halves are rounded to even numbers", () => {
  expect([0.5, 1.5, 2.5, 2.4, 2.6].map(rounded)).toEqual([0, 2, 2, 2, 3]);
});

const TILING: Tiling = { tile: 48, overlap: 12, reach: null, multiple: 4 };
const FACTS = { tiling: TILING, leastSide: 16 };
const same = async ({ data }: Planes) => data;

function noise(length: number, top: number): number[] {
  let seed = 7;
  return Array.from({ length }, () => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed % (top + 1);
  });
}

test.each([
  [1, 1],
  [97, 131],
  [131, 50],
  [3, 300],
])("what changes nothing gives the same levels: %d x %d", async (width, height) => {
  const eight = Uint8Array.from(noise(3 * width * height, 255));
  expect(await derained(eight, { width, height }, same, FACTS, 1)).toEqual(eight);
  const deep = Uint16Array.from(noise(3 * width * height, 65535));
  expect(await derained(deep, { width, height }, same, FACTS, 1)).toEqual(deep);
});

test("each pixel is counted once, by tiles that the graph takes", async () => {
  const [width, height] = [150, 110];
  const levels = new Uint8Array(3 * width * height).fill(100);
  const sizes: number[] = [];
  const ones = async ({ data, width: w, height: h }: Planes) => {
    sizes.push(w % TILING.multiple, h % TILING.multiple, Math.max(16 - w, 16 - h, 0));
    return data.map(() => 0.6);
  };
  const reports: number[][] = [];
  const clean = await derained(levels, { width, height }, ones, FACTS, 1, (...report) =>
    reports.push(report),
  );
  expect(new Set(clean)).toEqual(new Set([153]));
  expect(new Set(sizes)).toEqual(new Set([0]));
  expect(reports.at(-1)).toEqual([reports.length, reports.length]);
  expect(reports.length).toBeGreaterThan(6);
});

test("strength takes less or more, and 0 asks no network", async () => {
  const levels = new Uint8Array(3 * 20 * 20).fill(200);
  const dark = async ({ data }: Planes) => data.map(() => 100 / 255);
  const at = async (strength: number) =>
    (await derained(levels, { width: 20, height: 20 }, dark, FACTS, strength))[0];
  expect([await at(1), await at(0.5), await at(1.5)]).toEqual([100, 150, 50]);
  const fails = async () => Promise.reject(new Error("not asked"));
  expect(await derained(levels, { width: 20, height: 20 }, fails, FACTS, 0)).toEqual(levels);
});

test("what is no number is refused", async () => {
  const broken = async ({ data }: Planes) => data.map(() => NaN);
  const asked = derained(new Uint8Array(27), { width: 3, height: 3 }, broken, FACTS, 1);
  await expect(asked).rejects.toThrow(/no number/);
});

test("a tile is padded with its last row and column", () => {
  const tile = { width: 3, height: 2, data: Float32Array.from({ length: 18 }, (_, k) => k) };
  const wide = padded(tile, { tiling: { ...TILING, multiple: 4 }, leastSide: 4 });
  expect([wide.width, wide.height]).toEqual([4, 4]);
  expect([...wide.data.subarray(0, 16)]).toEqual([0, 1, 2, 2, 3, 4, 5, 5, 3, 4, 5, 5, 3, 4, 5, 5]);
  expect([...wide.data.subarray(32, 36)]).toEqual([12, 13, 14, 14]);
});

test("rows come in order, and cover the picture", async () => {
  const [width, height] = [60, 200];
  const tiles = grid({ width, height }, TILING);
  const run = async (tile: Planes) => tile;
  let next = 0;
  const sink = (begin: number, rows: Float32Array) => {
    expect(begin).toBe(next);
    next += rows.length / (3 * width);
  };
  await blended(new Uint8Array(3 * width * height), width, tiles, run, sink, () => {});
  expect(next).toBe(height);
});
