/** PNG: its chunks, and its pixels in 8 or 16 bits with exact transparency. */

import { convertIndexedToRgb, decode as decodePng } from "fast-png";
import { ascii, asText, joined, piped, startsWith, viewOf, type Bytes } from "./bytes.js";
import { Problem } from "./problem.js";
import type { Levels, Size } from "./tiles.js";

export const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10);
export const XMP_KEYWORD = "XML:com.adobe.xmp";
const RAW_PROFILE = "Raw profile type ";
/** Chunks about how the pixels were stored, which the encoder writes anew: nobody's loss. */
const OF_PIXELS = new Set(["IHDR", "PLTE", "IDAT", "IEND", "tRNS", "hIST", "iDOT", "fcTL", "fdAT"]);
/** Chunks that depend on the pixels by their names, and hold for the derained ones all the same. */
const STILL_TRUE = new Set(
  "cICP sRGB gAMA cHRM mDCV cLLI pHYs sPLT oFFs pCAL sCAL sTER tIME iCCP".split(" "),
);
/** Chunks that would be wrong for a turned picture. */
const PLACED = new Set(["oFFs", "sCAL", "pCAL", "sTER"]);
const STALE: Record<string, string> = {
  caBX: "content credentials",
  dSIG: "digital signature",
  gMAP: "HDR gain map",
  gDAT: "HDR gain map",
};
const CRITICAL = new Set(["IHDR", "PLTE", "IDAT", "IEND", "tRNS"]);
const PALETTE = 3;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

export interface Chunk {
  kind: string;
  content: Bytes;
}

export interface Header extends Size {
  depth: number;
  colour: number;
  isInterlaced: boolean;
}

/** Pixels as a PNG stores them, in as many bits as the levels have. */
export interface Pixels extends Size {
  levels: Levels;
  alpha: Levels | null;
  isGrey: boolean;
}

/** The whole chunks of a file. */
export function chunksOf(data: Bytes): Chunk[] {
  const view = viewOf(data);
  const chunks: Chunk[] = [];
  let at = SIGNATURE.length;
  while (at + 12 <= data.length) {
    const length = view.getUint32(at);
    if (at + 12 + length > data.length) break;
    const kind = asText(data.subarray(at + 4, at + 8));
    chunks.push({ kind, content: data.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return chunks;
}

export function headerOf(chunks: Chunk[]): Header {
  const content = chunks[0]?.kind === "IHDR" ? chunks[0].content : null;
  if (content?.length !== 13) throw new Problem("picture");
  const view = viewOf(content);
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth: content[8]!,
    colour: content[9]!,
    isInterlaced: content[12] === 1,
  };
}

/**
 * Pixels to the bit, transparency included; null for what is better left to the browser: palettes
 * and grey of fewer than eight bits that are interlaced.
 */
export function pixelsOf(chunks: Chunk[]): Pixels | null {
  const { depth, colour, isInterlaced } = headerOf(chunks);
  if (depth < 8 && (colour !== PALETTE || isInterlaced)) return null;
  const found = decodePng(fileOf(chunks.filter(({ kind }) => CRITICAL.has(kind))));
  const { width, height } = found;
  if (colour === PALETTE) {
    const data = convertIndexedToRgb(found);
    return split(data, found.palette?.[0]?.length ?? 3, { width, height });
  }
  const pixels = split(found.data as Levels, found.channels, { width, height });
  if (found.transparency) pixels.alpha = alphaOf(pixels, found.transparency);
  return pixels;
}

/** Interleaved channels as levels and alpha. */
export function split(data: Levels | Uint8Array, channels: number, size: Size): Pixels {
  const count = size.width * size.height;
  const isDeep = data instanceof Uint16Array;
  const make = (length: number): Levels =>
    isDeep ? new Uint16Array(length) : new Uint8Array(length);
  const isGrey = channels < 3;
  const hasAlpha = channels === 2 || channels === 4;
  const levels = make(3 * count);
  const alpha = hasAlpha ? make(count) : null;
  for (let pixel = 0, from = 0; pixel < count; pixel += 1, from += channels) {
    levels[3 * pixel] = data[from]!;
    levels[3 * pixel + 1] = data[isGrey ? from : from + 1]!;
    levels[3 * pixel + 2] = data[isGrey ? from : from + 2]!;
    if (alpha) alpha[pixel] = data[from + channels - 1]!;
  }
  return { ...size, levels, alpha, isGrey };
}

/** Alpha of a picture in which one colour is transparent. */
function alphaOf({ levels, isGrey }: Pixels, colour: Uint16Array): Levels {
  const isDeep = levels instanceof Uint16Array;
  const count = levels.length / 3;
  const alpha = isDeep ? new Uint16Array(count).fill(65535) : new Uint8Array(count).fill(255);
  for (let pixel = 0; pixel < count; pixel += 1) {
    const is = (channel: number) => levels[3 * pixel + channel] === colour[isGrey ? 0 : channel];
    if (is(0) && is(1) && is(2)) alpha[pixel] = 0;
  }
  return alpha;
}

// Metadata ----------------------------------------------------------------------------------------

const keywordOf = ({ content }: Chunk) => asText(content.subarray(0, content.indexOf(0)));

/** The content of a text in UTF-8; null if it is damaged. */
async function textOf({ kind, content }: Chunk): Promise<Bytes | null> {
  const rest = content.slice(content.indexOf(0) + 1);
  if (kind !== "iTXt") return null;
  const afterLanguage = rest.indexOf(0, 2);
  const start = rest.indexOf(0, afterLanguage + 1);
  if (afterLanguage < 0 || start < 0) return null;
  return rest[0] === 1 ? inflated(rest.slice(start + 1)) : rest.slice(start + 1);
}

async function inflated(data: Bytes): Promise<Bytes | null> {
  try {
    return await piped(data, new DecompressionStream("deflate"));
  } catch {
    return null;
  }
}

/** The colour profile; empty without one or if it is damaged. */
export async function profileOf(chunks: Chunk[]): Promise<Bytes> {
  const chunk = chunks.find(({ kind }) => kind === "iCCP");
  const profile = chunk && (await inflated(chunk.content.slice(chunk.content.indexOf(0) + 2)));
  return profile ?? new Uint8Array(0);
}

/** The XMP packet; empty without one. */
export async function packetOf(chunks: Chunk[]): Promise<Bytes> {
  const chunk = chunks.find((one) => one.kind === "iTXt" && keywordOf(one) === XMP_KEYWORD);
  return (chunk && (await textOf(chunk))) ?? new Uint8Array(0);
}

/** What other formats do not hold; `lost` gets names of what is not kept. */
export function othersOf(chunks: Chunk[], isTurned: boolean, lost: Set<string>): Chunk[] {
  return chunks.filter((chunk) => {
    const { kind } = chunk;
    if (OF_PIXELS.has(kind) || kind === "eXIf" || kind === "iCCP") return false;
    if (STALE[kind]) {
      lost.add(STALE[kind]);
      return false;
    }
    if (isTurned && PLACED.has(kind)) {
      lost.add(`PNG ${kind}`);
      return false;
    }
    if (["tEXt", "zTXt", "iTXt"].includes(kind)) {
      const keyword = keywordOf(chunk);
      if (keyword.startsWith(RAW_PROFILE)) lost.add("profiles that are written as text");
      return keyword !== XMP_KEYWORD && !keyword.startsWith(RAW_PROFILE);
    }
    // Letters in lower case: ancillary, and safe to copy by who does not know it.
    const isSafe = /^[a-z]..[a-z]$/.test(kind);
    if (!isSafe && !STILL_TRUE.has(kind) && !["bKGD", "sBIT", "acTL"].includes(kind))
      lost.add(`PNG ${kind}`);
    return isSafe || STILL_TRUE.has(kind);
  });
}

/** Pixels per unit across and down exchanged. */
export function exchanged(chunk: Chunk): Chunk {
  if (chunk.kind !== "pHYs" || chunk.content.length !== 9) return chunk;
  const { content } = chunk;
  return {
    kind: "pHYs",
    content: joined(content.subarray(4, 8), content.subarray(0, 4), content.subarray(8)),
  };
}

export async function profileChunk(profile: Bytes): Promise<Chunk> {
  const packed = await piped(profile, new CompressionStream("deflate"));
  return { kind: "iCCP", content: joined(ascii("ICC Profile\0\0"), packed) };
}

export function packetChunk(packet: Bytes): Chunk {
  return { kind: "iTXt", content: joined(ascii(`${XMP_KEYWORD}\0\0\0\0\0`), packet) };
}

// Writing -----------------------------------------------------------------------------------------

function crcOf(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 0xff]! ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function packed({ kind, content }: Chunk): Bytes {
  const whole = new Uint8Array(12 + content.length);
  const view = viewOf(whole);
  view.setUint32(0, content.length);
  whole.set(ascii(kind), 4);
  whole.set(content, 8);
  view.setUint32(8 + content.length, crcOf(whole.subarray(4, 8 + content.length)));
  return whole;
}

const fileOf = (chunks: Chunk[]): Bytes => joined(SIGNATURE, ...chunks.map(packed));

/** A file of pixels, without loss, with these chunks between header and pixels. */
export async function encoded(pixels: Pixels, chunks: Chunk[]): Promise<Bytes> {
  const { width, height, levels, alpha, isGrey } = pixels;
  const header = new Uint8Array(13);
  const view = viewOf(header);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = levels instanceof Uint16Array ? 16 : 8;
  header[9] = (isGrey ? 0 : 2) + (alpha ? 4 : 0);
  const rows = new Blob([filtered(interleaved(pixels), width, height)]);
  const content = await piped(rows, new CompressionStream("deflate"));
  return fileOf([
    { kind: "IHDR", content: header },
    ...chunks,
    { kind: "IDAT", content },
    { kind: "IEND", content: new Uint8Array(0) },
  ]);
}

/** Levels and alpha as bytes in the order of the file. */
function interleaved({ width, height, levels, alpha, isGrey }: Pixels): Uint8Array {
  const bytes = levels instanceof Uint16Array ? 2 : 1;
  const colours = isGrey ? 1 : 3;
  const stored = new Uint8Array(width * height * bytes * (colours + (alpha ? 1 : 0)));
  let at = 0;
  const put = (level: number) => {
    if (bytes === 2) stored[at++] = level >> 8;
    stored[at++] = level & 255;
  };
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let channel = 0; channel < colours; channel += 1) put(levels[3 * pixel + channel]!);
    if (alpha) put(alpha[pixel]!);
  }
  return stored;
}

/** Rows, each stored as differences of the kind that leaves the smallest (PNG, section 12.7). */
function filtered(stored: Uint8Array, width: number, height: number): Bytes {
  const row = stored.length / height;
  const step = row / width;
  const out = new Uint8Array(stored.length + height);
  const trials = [new Uint8Array(row), new Uint8Array(row), new Uint8Array(row)];
  const none = new Uint8Array(row);
  for (let y = 0; y < height; y += 1) {
    const now = stored.subarray(y * row, (y + 1) * row);
    const above = y ? stored.subarray((y - 1) * row, y * row) : none;
    const sums = [0, 0, 0];
    const [sub, up, paeth] = trials as [Uint8Array, Uint8Array, Uint8Array];
    for (let x = 0; x < row; x += 1) {
      const value = now[x]!;
      const left = x >= step ? now[x - step]! : 0;
      const over = above[x]!;
      const corner = x >= step ? above[x - step]! : 0;
      const [p, q, r] = [
        Math.abs(over - corner),
        Math.abs(left - corner),
        Math.abs(left + over - 2 * corner),
      ];
      sub[x] = value - left;
      up[x] = value - over;
      paeth[x] = value - (p <= q && p <= r ? left : q <= r ? over : corner);
      sums[0]! += Math.abs((sub[x]! << 24) >> 24);
      sums[1]! += Math.abs((up[x]! << 24) >> 24);
      sums[2]! += Math.abs((paeth[x]! << 24) >> 24);
    }
    const best = sums.indexOf(Math.min(...sums));
    out[y * (row + 1)] = [1, 2, 4][best]!;
    out.set(trials[best]!, y * (row + 1) + 1);
  }
  return out;
}

export const isPng = (data: Uint8Array): boolean => startsWith(data, SIGNATURE);
