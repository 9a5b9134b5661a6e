/** WebP's RIFF chunks: what a file holds besides its pixels, and how it goes into another. */

import { ascii, asText, joined, viewOf, type Bytes } from "./bytes.js";
import type { Size } from "./tiles.js";

const PIXELS = new Set(["VP8X", "VP8 ", "VP8L", "ALPH", "ANIM", "ANMF"]);
/** Chunks with a flag in the header that says they exist. */
const FLAGS: Record<string, number> = { ICCP: 0x20, EXIF: 0x08, "XMP ": 0x04 };
const ALPHA = 0x10;
const ANIMATION = 0x02;

export interface Chunk {
  kind: string;
  content: Bytes;
}

export function chunksOf(data: Bytes): Chunk[] {
  const view = viewOf(data);
  const chunks: Chunk[] = [];
  let at = 12;
  while (at + 8 <= data.length) {
    const length = view.getUint32(at + 4, true);
    if (at + 8 + length > data.length) break;
    const kind = asText(data.subarray(at, at + 4));
    chunks.push({ kind, content: data.subarray(at + 8, at + 8 + length) });
    at += 8 + length + (length % 2);
  }
  return chunks;
}

export const isAnimated = (chunks: Chunk[]): boolean =>
  chunks.some(
    ({ kind, content }) => kind === "ANMF" || (kind === "VP8X" && (content[0]! & ANIMATION) > 0),
  );

export const isLossless = (chunks: Chunk[]): boolean =>
  chunks.find(({ kind }) => kind === "VP8L" || kind === "VP8 ")?.kind === "VP8L";

export const hasAlpha = (chunks: Chunk[]): boolean =>
  chunks.some(
    ({ kind, content }) =>
      kind === "ALPH" ||
      (kind === "VP8X" && (content[0]! & ALPHA) > 0) ||
      (kind === "VP8L" && (content[4]! & 0x10) > 0),
  );

export function sizeOf(chunks: Chunk[]): Size | null {
  for (const { kind, content } of chunks) {
    const view = viewOf(content);
    const three = (at: number) => view.getUint16(at, true) + (content[at + 2]! << 16);
    if (kind === "VP8X" && content.length >= 10)
      return { width: three(4) + 1, height: three(7) + 1 };
    if (kind === "VP8 " && content.length >= 10)
      return { width: view.getUint16(6, true) & 0x3fff, height: view.getUint16(8, true) & 0x3fff };
    if (kind === "VP8L" && content.length >= 5) {
      const bits = view.getUint32(1, true);
      return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 };
    }
  }
  return null;
}

export function contentOf(chunks: Chunk[], kind: string): Bytes {
  return chunks.find((one) => one.kind === kind)?.content.slice() ?? new Uint8Array(0);
}

/** Chunks that the specification does not name; `lost` gets names of those that are stale. */
export function othersOf(chunks: Chunk[], lost: Set<string>): Chunk[] {
  return chunks.filter(({ kind }) => {
    if (kind === "C2PA") lost.add("content credentials");
    return !PIXELS.has(kind) && !(kind in FLAGS) && kind !== "C2PA";
  });
}

/** A file without what is not pixels: no browser turns it, or changes its colours. */
export function bare(data: Bytes): Bytes {
  return withChunks(data, [], null);
}

/** A file with these chunks besides its pixels; a size where it may need an extended header. */
export function withChunks(data: Bytes, chunks: Chunk[], size: Size | null): Bytes {
  const pixels = chunksOf(data).filter(({ kind }) => PIXELS.has(kind));
  const old = pixels.find(({ kind }) => kind === "VP8X");
  const area = size ?? sizeOf(pixels);
  if (!area || (!old && !chunks.length)) return data;
  const head = new Uint8Array(10);
  head[0] = ((old?.content[0] ?? 0) & (ALPHA | ANIMATION)) | (hasAlpha(pixels) ? ALPHA : 0);
  for (const { kind } of chunks) head[0] |= FLAGS[kind] ?? 0;
  [area.width - 1, area.height - 1].forEach((side, k) =>
    head.set([side & 255, (side >> 8) & 255, side >> 16], 4 + 3 * k),
  );
  const isFirst = ({ kind }: Chunk) => kind === "ICCP";
  const all = [
    { kind: "VP8X", content: head },
    ...chunks.filter(isFirst),
    ...pixels.filter(({ kind }) => kind !== "VP8X"),
    ...chunks.filter((chunk) => !isFirst(chunk)),
  ];
  const body = joined(ascii("WEBP"), ...all.map(packed));
  const length = new Uint8Array(4);
  viewOf(length).setUint32(0, body.length, true);
  return joined(ascii("RIFF"), length, body);
}

function packed({ kind, content }: Chunk): Bytes {
  const length = new Uint8Array(4);
  viewOf(length).setUint32(0, content.length, true);
  return joined(ascii(kind), length, content, new Uint8Array(content.length % 2));
}
