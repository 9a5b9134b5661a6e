/** JPEG segments: what a file holds besides its pixels, and how it goes into another. */

import { ascii, asText, joined, startsWith, viewOf, type Bytes } from "./bytes.js";

export interface Segment {
  /** The second byte of its marker. */
  marker: number;
  content: Bytes;
}

/** How the pixels are stored. */
export interface JpegFacts {
  width: number;
  height: number;
  channels: number;
  /** Colours have every pixel (4:4:4). */
  isFull: boolean;
  /** The quality that the tables stand for, 1 to 100. */
  quality: number;
}

export const EXIF = ascii("Exif\0\0");
export const XMP = ascii("http://ns.adobe.com/xap/1.0/\0");
export const PROFILE = ascii("ICC_PROFILE\0");
export const COMMENT = 0xfe;
const ROOM = 65533;
const [SCAN, END] = [0xda, 0xd9];
/** Segments about how the pixels were stored, which the encoder writes anew. */
const REGENERATED: [number, Uint8Array][] = [
  [0xe0, ascii("JFIF\0")],
  [0xe0, ascii("JFXX\0")],
  [0xe8, ascii("SPIFF\0")],
  [0xee, ascii("Adobe")],
];
/** Segments that describe the rainy picture, with names for the visitor. */
const STALE: [number, Uint8Array, string][] = [
  [0xe2, ascii("MPF\0"), ""],
  [0xe2, ascii("urn:iso:std:iso:ts:21496:-1\0"), "HDR gain map"],
  [0xeb, ascii("JP"), "content credentials"],
  [0xeb, ascii("HDR_RI"), "HDR ratio image"],
];
/** The usual table of brightness (JPEG, annex K), whose multiples most encoders write. */
const USUAL = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
  14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113,
  92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const USUAL_SUM = USUAL.reduce((sum, value) => sum + value, 0);

const isMetadata = (marker: number) => (marker >= 0xe0 && marker <= 0xef) || marker === COMMENT;

/** Markers before the pixels, each with where its segment begins and ends. */
function* walk(data: Uint8Array): Generator<{ marker: number; start: number; end: number }> {
  const view = viewOf(data);
  let at = 2;
  while (at + 4 <= data.length) {
    if (data[at] !== 0xff) return;
    const marker = data[at + 1]!;
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker === END) return;
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
      continue;
    }
    const end = Math.min(at + 2 + Math.max(2, view.getUint16(at + 2)), data.length);
    yield { marker, start: at, end };
    if (marker === SCAN) return;
    at = end;
  }
}

export function segmentsOf(data: Bytes): Segment[] {
  return [...walk(data)]
    .filter(({ marker }) => isMetadata(marker))
    .map(({ marker, start, end }) => ({ marker, content: data.slice(start + 4, end) }));
}

/** A file without what is not pixels: no browser turns it, or changes its colours. */
export function bare(data: Bytes): Bytes {
  const parts: Uint8Array[] = [];
  let done = 0;
  for (const { marker, start, end } of walk(data)) {
    // The first and Adobe's say how the pixels are stored.
    if (!isMetadata(marker) || marker === 0xe0 || marker === 0xee) continue;
    parts.push(data.subarray(done, start));
    done = end;
  }
  return joined(...parts, data.subarray(done));
}

export function factsOf(data: Bytes): JpegFacts | null {
  const view = viewOf(data);
  let quality = 0;
  for (const { marker, start, end } of walk(data)) {
    if (marker === 0xdb) quality ||= qualityOf(data.subarray(start + 4, end));
    // Frames of every kind; DHT, JPG and DAC lie among their markers.
    if (marker < 0xc0 || marker > 0xcf || [0xc4, 0xc8, 0xcc].includes(marker)) continue;
    if (start + 10 > data.length) return null;
    const channels = data[start + 9]!;
    const factors = Array.from({ length: channels }, (_, k) => data[start + 11 + 3 * k]);
    return {
      height: view.getUint16(start + 5),
      width: view.getUint16(start + 7),
      channels,
      isFull: factors.every((factor) => factor === factors[0]),
      quality: quality || 95,
    };
  }
  return null;
}

/** The quality of the first table in a segment, if that is the one of brightness; else 0. */
function qualityOf(content: Uint8Array): number {
  const isWide = content[0]! >> 4 === 1;
  if ((content[0]! & 15) !== 0 || content.length < (isWide ? 129 : 65)) return 0;
  const view = viewOf(content);
  let sum = 0;
  for (let k = 0; k < 64; k += 1) sum += isWide ? view.getUint16(1 + 2 * k) : content[1 + k]!;
  const scale = (100 * sum) / USUAL_SUM;
  const quality = scale <= 100 ? (200 - scale) / 2 : 5000 / scale;
  return Math.min(Math.max(Math.round(quality), 1), 100);
}

/** What segments of one kind hold together. */
export function held(segments: Segment[], marker: number, head: Uint8Array): Bytes {
  const found = segments.filter((one) => one.marker === marker && startsWith(one.content, head));
  return joined(...found.map(({ content }) => content.subarray(head.length)));
}

/** The colour profile, in the order that its parts say; empty if parts are missing. */
export function profileOf(segments: Segment[]): Bytes {
  const parts = segments
    .filter(({ marker, content }) => marker === 0xe2 && startsWith(content, PROFILE))
    .sort((one, other) => one.content[PROFILE.length]! - other.content[PROFILE.length]!);
  const isWhole = parts.every(
    ({ content }, place) =>
      content[PROFILE.length] === place + 1 && content[PROFILE.length + 1] === parts.length,
  );
  if (!isWhole) return new Uint8Array(0);
  return joined(...parts.map(({ content }) => content.subarray(PROFILE.length + 2)));
}

/** All other segments, such as a camera maker's; `lost` gets names of those that are stale. */
export function othersOf(segments: Segment[], lost: Set<string>): Segment[] {
  return segments.filter(({ marker, content }) => {
    const is = ([one, head]: readonly [number, Uint8Array, ...unknown[]]) =>
      one === marker && startsWith(content, head);
    if (REGENERATED.some(is) || is([0xe1, EXIF]) || is([0xe1, XMP]) || is([0xe2, PROFILE]))
      return false;
    const stale = STALE.find(is);
    if (stale?.[2]) lost.add(stale[2]);
    return !stale;
  });
}

/** Whether something besides padding lies behind the picture, such as a video. */
export function hasMoreBehind(data: Bytes): boolean {
  const scan = [...walk(data)].find(({ marker }) => marker === SCAN);
  // Only the end can look like this: coded pixels never do.
  let place = scan ? scan.end : data.length;
  while (place >= 0 && data[place + 1] !== END) place = data.indexOf(0xff, place + 1);
  return place >= 0 && data.subarray(place + 2).some((byte) => byte !== 0 && byte !== 0xff);
}

/** The segments of a colour profile; null if it is too long for all there may be. */
export function profileSegments(profile: Bytes): Segment[] | null {
  const room = ROOM - PROFILE.length - 2;
  const count = Math.ceil(profile.length / room);
  if (count > 255) return null;
  return Array.from({ length: count }, (_, k) => ({
    marker: 0xe2,
    content: joined(
      PROFILE,
      Uint8Array.of(k + 1, count),
      profile.subarray(k * room, (k + 1) * room),
    ),
  }));
}

export const fits = (content: Uint8Array): boolean => content.length <= ROOM;

/** A file with more segments, behind the one that the encoder begins with. */
export function withSegments(data: Bytes, segments: Segment[]): Bytes {
  const isJfif = asText(data.subarray(6, 10)) === "JFIF";
  const place = isJfif ? 4 + viewOf(data).getUint16(4) : 2;
  const packed = segments.map(({ marker, content }) => {
    const head = Uint8Array.of(0xff, marker, 0, 0);
    viewOf(head).setUint16(2, content.length + 2);
    return joined(head, content);
  });
  return joined(data.subarray(0, place), ...packed, data.subarray(place));
}
