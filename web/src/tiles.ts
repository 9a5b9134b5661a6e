/**
 * How a picture is cut into tiles, and how the tiles are blended back: derain/tiles.py, line for
 * line. `test/windows.json` holds what that makes of many sizes.
 */

/** What cutting does to a network; as `Tiling` of derain/tiles.py. */
export interface Tiling {
  tile: number;
  overlap: number;
  reach: number | null;
  multiple: number;
}

/** A tile along one axis: what the network sees, and the zones over which it is blended. */
export interface Span {
  start: number;
  stop: number;
  fadeIn: readonly [number, number];
  fadeOut: readonly [number, number];
}

export interface Grid {
  rows: Span[];
  columns: Span[];
}

/** Levels of a picture, three to a pixel, row by row. */
export type Levels = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

export interface Size {
  width: number;
  height: number;
}

/** A rectangle of a picture as a network takes it: planes of red, green and blue in [0, 1]. */
export interface Planes extends Size {
  data: Float32Array;
}

/** Derains one tile; what comes back has the same size. */
export type Runner = (tile: Planes) => Promise<Planes>;

/** Gets finished rows: (first row, rows * width * 3 floats). */
export type Sink = (begin: number, rows: Float32Array) => void;

/** To the nearest whole number, halves to the even one, as Python rounds. */
export function rounded(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 ? below + 1 : below;
}

export const length = (span: Span): number => span.stop - span.start;

/** The share of a tile in each pixel it sees; the shares of all tiles add up to 1. */
export function weights(span: Span): Float32Array {
  const share = new Float32Array(length(span)).fill(1);
  const zones = [
    { zone: span.fadeIn, isRising: true },
    { zone: span.fadeOut, isRising: false },
  ];
  for (const { zone, isRising } of zones) {
    const [begin, end] = zone;
    for (let place = 0; place < share.length; place += 1) {
      const at = span.start + place + 0.5;
      const ramp =
        end > begin ? Math.min(Math.max((at - begin) / (end - begin), 0), 1) : Number(at > begin);
      share[place]! *= isRising ? ramp : 1 - ramp;
    }
  }
  return share;
}

/** Cut an axis into equal tiles that overlap by at least `overlap`, evenly spread. */
export function spans(
  axis: number,
  tile: number,
  overlap: number,
  fade: number = Math.floor(overlap / 2),
  multiple = 1,
): Span[] {
  if (axis < tile + multiple) {
    return [{ start: 0, stop: axis, fadeIn: [0, 0], fadeOut: [axis, axis] }];
  }
  const count = 1 - Math.floor((tile - axis) / (tile - overlap - multiple + 1));
  const starts = Array.from(
    { length: count },
    (_, k) => Math.floor(rounded((k * (axis - tile)) / (count - 1)) / multiple) * multiple,
  );
  const stops = starts.map((start, k) => (k === count - 1 ? axis : start + tile));
  const joints = starts
    .slice(1)
    .map((after, k) => Math.floor((after + stops[k]! - fade) / 2))
    .map((joint): [number, number] => [joint, joint + fade]);
  const zones: [number, number][] = [[0, 0], ...joints, [axis, axis]];
  return starts.map((start, k) => ({
    start,
    stop: stops[k]!,
    fadeIn: zones[k]!,
    fadeOut: zones[k + 1]!,
  }));
}

/** The tiles that a picture of a size is cut into. */
export function grid({ width, height }: Size, tiling: Tiling): Grid {
  const isWhole = tiling.tile === 0 || height * width <= tiling.tile ** 2;
  const side = isWhole ? Math.max(height, width) : tiling.tile;
  return { rows: fewest(height, side, tiling), columns: fewest(width, side, tiling) };
}

/** Cut one axis into as few tiles as possible, and no larger ones than these need to be. */
function fewest(axis: number, side: number, { overlap, multiple, reach }: Tiling): Span[] {
  const isExact = reach !== null && overlap >= 2 * reach;
  const fade = isExact ? overlap - 2 * reach : Math.floor(overlap / 2);
  const widest = spans(axis, side, overlap, fade, multiple);
  const count = widest.length;
  if (count === 1) return widest;
  let least = Math.ceil((axis + (count - 1) * (overlap + multiple - 1)) / count);
  least = Math.ceil(least / multiple) * multiple;
  return spans(axis, Math.min(side, least), overlap, fade, multiple);
}

/** The same tiling with tiles of at most a side, as derain takes it where memory is short. */
export function limited(tiling: Tiling, most: number): Tiling {
  const tile = Math.min(tiling.tile, most);
  return { ...tiling, tile, overlap: Math.min(tiling.overlap, Math.floor(tile / 4)) };
}

/** One tile of a picture as planes of floats. */
export function cut(levels: Levels, width: number, row: Span, column: Span): Planes {
  const size = { width: length(column), height: length(row) };
  const plane = size.width * size.height;
  const data = new Float32Array(3 * plane);
  const top = levels instanceof Uint16Array ? 65535 : 255;
  let at = 0;
  for (let y = row.start; y < row.stop; y += 1) {
    let from = 3 * (y * width + column.start);
    for (let x = 0; x < size.width; x += 1) {
      data[at] = levels[from]! / top;
      data[at + plane] = levels[from + 1]! / top;
      data[at + 2 * plane] = levels[from + 2]! / top;
      at += 1;
      from += 3;
    }
  }
  return { ...size, data };
}

/**
 * Run a picture tile by tile, and hand on finished rows. No more than a row of tiles is held.
 *
 * @param levels (height * width * 3)
 * @param onTile called after each tile with how many are done, and of how many
 */
export async function blended(
  levels: Levels,
  width: number,
  { rows, columns }: Grid,
  run: Runner,
  sink: Sink,
  onTile: (done: number, total: number) => void,
): Promise<void> {
  const total = rows.length * columns.length;
  let done = 0;
  let carried = new Float32Array(0);
  for (const row of rows) {
    const strip = new Float32Array(length(row) * width * 3);
    const down = weights(row);
    for (const column of columns) {
      const clean = await run(cut(levels, width, row, column));
      lay(strip, width, clean, column.start, weights(column), down);
      done += 1;
      onTile(done, total);
    }
    const begin = row.fadeIn[0];
    const end = row.fadeOut[0];
    const first = (begin - row.start) * width * 3;
    const last = (end - row.start) * width * 3;
    for (let place = 0; place < carried.length; place += 1)
      strip[first + place]! += carried[place]!;
    sink(begin, strip.subarray(first, last));
    carried = strip.slice(last, (row.fadeOut[1] - row.start) * width * 3);
  }
}

/** Add a tile to a strip of rows, weighted across and down. */
function lay(
  strip: Float32Array,
  width: number,
  clean: Planes,
  left: number,
  across: Float32Array,
  down: Float32Array,
): void {
  const plane = clean.width * clean.height;
  for (let y = 0; y < clean.height; y += 1) {
    let at = 3 * (y * width + left);
    let from = y * clean.width;
    for (let x = 0; x < clean.width; x += 1) {
      const share = across[x]! * down[y]!;
      strip[at]! += share * clean.data[from]!;
      strip[at + 1]! += share * clean.data[from + plane]!;
      strip[at + 2]! += share * clean.data[from + 2 * plane]!;
      at += 3;
      from += 1;
    }
  }
}
