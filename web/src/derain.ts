/** A picture through a network: padded, tiled, mixed and rounded as in derain/restore.py. */

import { Problem } from "./problem.js";
import {
  blended,
  grid,
  rounded,
  type Levels,
  type Planes,
  type Size,
  type Tiling,
} from "./tiles.js";

/** A network: planes (1, 3, height, width) in [0, 1] in, the same out. */
export type Network = (planes: Planes) => Promise<Float32Array>;

export interface Facts {
  tiling: Tiling;
  /** Least side of what the graph takes, in pixels. */
  leastSide: number;
}

/**
 * Take the rain out of levels.
 *
 * @param strength how much of what is removed is removed: 0 to 1.5
 * @returns as many levels of the same type
 */
export async function derained(
  levels: Levels,
  size: Size,
  network: Network,
  facts: Facts,
  strength: number,
  onTile: (done: number, total: number) => void = () => {},
): Promise<Levels> {
  if (strength === 0) return levels.slice();
  const clean =
    levels instanceof Uint16Array ? new Uint16Array(levels.length) : new Uint8Array(levels.length);
  const run = async (tile: Planes): Promise<Planes> => {
    const wide = padded(tile, facts);
    return { ...tile, data: cropped(checked(await network(wide)), wide, tile) };
  };
  const sink = (begin: number, rows: Float32Array) =>
    mix(levels, clean, begin * size.width * 3, rows, strength);
  await blended(levels, size.width, grid(size, facts.tiling), run, sink, onTile);
  return clean;
}

/** How many pixels a side needs for the graph to take it. */
function needed(side: number, { tiling, leastSide }: Facts): number {
  return Math.ceil(Math.max(leastSide, side) / tiling.multiple) * tiling.multiple;
}

/** A tile with its last row and column repeated until the graph takes it. */
export function padded(tile: Planes, facts: Facts): Planes {
  const width = needed(tile.width, facts);
  const height = needed(tile.height, facts);
  if (width === tile.width && height === tile.height) return tile;
  const data = new Float32Array(3 * width * height);
  for (let row = 0; row < 3 * height; row += 1) {
    const plane = Math.floor(row / height);
    const y = Math.min(row % height, tile.height - 1);
    const from = (plane * tile.height + y) * tile.width;
    data.set(tile.data.subarray(from, from + tile.width), row * width);
    data.fill(tile.data[from + tile.width - 1]!, row * width + tile.width, (row + 1) * width);
  }
  return { width, height, data };
}

function cropped(data: Float32Array, from: Size, to: Size): Float32Array {
  if (from.width === to.width && from.height === to.height) return data;
  const small = new Float32Array(3 * to.width * to.height);
  for (let row = 0; row < 3 * to.height; row += 1) {
    const plane = Math.floor(row / to.height);
    const at = (plane * from.height + (row % to.height)) * from.width;
    small.set(data.subarray(at, at + to.width), row * to.width);
  }
  return small;
}

/** What comes out of a network, if all of it is numbers. */
function checked(data: Float32Array): Float32Array {
  for (let place = 0; place < data.length; place += 1) {
    if (!Number.isFinite(data[place]!))
      throw new Problem(
        "other",
        "The model gave what is no number: reload the page, then try again.",
      );
  }
  return data;
}

/** Round clean rows into levels; with less or more removed than the network removes. */
function mix(
  rainy: Levels,
  into: Levels,
  begin: number,
  rows: Float32Array,
  strength: number,
): void {
  const top = into instanceof Uint16Array ? 65535 : 255;
  for (let place = 0; place < rows.length; place += 1) {
    let value = rows[place]!;
    if (strength !== 1) {
      const before = rainy[begin + place]! / top;
      value = before + strength * (value - before);
    }
    into[begin + place] = rounded(Math.fround(Math.min(Math.max(value, 0), 1) * top));
  }
}
