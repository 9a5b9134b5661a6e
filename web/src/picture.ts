/** A picture in memory: its pixels, and what its file holds besides them. */

import type { Bytes } from "./bytes.js";
import type { Segment } from "./jpeg.js";
import type { Chunk as PngChunk } from "./png.js";
import type { Chunk as WebpChunk } from "./webp.js";
import type { Levels, Size } from "./tiles.js";

export type Format = "image/jpeg" | "image/png" | "image/webp";

/** What a file holds besides pixels; it describes the upright picture. */
export interface Metadata {
  icc: Bytes;
  exif: Bytes;
  xmp: Bytes;
  /** What only files of its own format hold, in the order of the file. */
  others:
    | { format: "image/jpeg"; parts: Segment[] }
    | { format: "image/png"; parts: PngChunk[] }
    | { format: "image/webp"; parts: WebpChunk[] }
    | null;
}

export interface Picture extends Size {
  /** (height * width * 3), upright. */
  levels: Levels;
  /** (height * width) of the same type, or null. */
  alpha: Levels | null;
  /** The file has one colour channel. */
  isGrey: boolean;
  /** The format that its result has unless another is asked for. */
  format: Format;
  /** How a JPEG was encoded: its quality, and whether colours have every pixel. */
  quality: number;
  isFull: boolean;
  /** A WebP that lost nothing. */
  isLossless: boolean;
  metadata: Metadata;
  /** What could not be kept, in words for the visitor. */
  notes: string[];
}

export const isDeep = ({ levels }: { levels: Levels }): boolean => levels instanceof Uint16Array;

/** Turn interleaved channels as EXIF's orientation asks for. */
export function upright(
  data: Levels,
  channels: number,
  { width, height }: Size,
  orientation: number,
): Levels {
  if (orientation === 1) return data;
  const isExchanged = orientation > 4;
  const [wide, high] = isExchanged ? [height, width] : [width, height];
  const turned =
    data instanceof Uint16Array ? new Uint16Array(data.length) : new Uint8Array(data.length);
  let at = 0;
  for (let y = 0; y < high; y += 1) {
    for (let x = 0; x < wide; x += 1) {
      // Where the upright pixel lies in the file: the way back of `turnedPoint`.
      let across = [2, 3, 6, 7].includes(orientation) ? wide - 1 - x : x;
      let down = [3, 4, 7, 8].includes(orientation) ? high - 1 - y : y;
      if (isExchanged) [across, down] = [down, across];
      let from = channels * (down * width + across);
      for (let channel = 0; channel < channels; channel += 1) turned[at++] = data[from++]!;
    }
  }
  return turned;
}
