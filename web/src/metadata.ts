/** Metadata as it is read, corrected to describe the upright picture, and as it is written. */

import { joined, without, type Bytes } from "./bytes.js";
import * as exif from "./exif.js";
import * as jpeg from "./jpeg.js";
import * as png from "./png.js";
import * as webp from "./webp.js";
import * as xmp from "./xmp.js";
import type { Format, Metadata, Picture } from "./picture.js";
import type { Size } from "./tiles.js";

const NONE: Bytes = new Uint8Array(0);
const NAMES: Record<Format, string> = {
  "image/jpeg": "JPEG",
  "image/png": "PNG",
  "image/webp": "WebP",
};

export interface Read {
  metadata: Metadata;
  /** EXIF's orientation of the pixels in the file, 1 to 8. */
  orientation: number;
  notes: string[];
}

export const nothing = (): Metadata => ({ icc: NONE, exif: NONE, xmp: NONE, others: null });

/** Read what a file holds besides pixels; `size` is that of the pixels as they lie in it. */
export async function read(data: Bytes, format: Format, size: Size): Promise<Read> {
  const lost = new Set<string>();
  const notes: string[] = [];
  const found = await gathered(data, format, lost);
  let orientation: number | null = null;
  try {
    if (found.exif.length) orientation = exif.orientationOf(found.exif);
  } catch {
    notes.push("damaged EXIF was not kept");
    found.exif = NONE;
  }
  orientation ??= xmp.orientationOf(found.xmp);
  orientation = orientation && orientation >= 1 && orientation <= 8 ? orientation : 1;
  const isExchanged = orientation > 4;
  const turn = {
    orientation,
    width: isExchanged ? size.height : size.width,
    height: isExchanged ? size.width : size.height,
  };
  if (found.exif.length) found.exif = exif.corrected(found.exif, turn);
  if (found.xmp.length) found.xmp = xmp.corrected(found.xmp, turn, lost);
  if (isExchanged && found.others?.format === "image/png")
    found.others.parts = found.others.parts.map(png.exchanged);
  if (lost.size) notes.push(`not kept: ${[...lost].sort().join(", ")}`);
  return { metadata: found, orientation, notes };
}

async function gathered(data: Bytes, format: Format, lost: Set<string>): Promise<Metadata> {
  if (format === "image/jpeg") {
    const segments = jpeg.segmentsOf(data);
    if (jpeg.hasMoreBehind(data)) lost.add("what lies behind the picture, such as a video");
    return {
      icc: jpeg.profileOf(segments),
      exif: jpeg.held(segments, 0xe1, jpeg.EXIF),
      xmp: jpeg.held(segments, 0xe1, jpeg.XMP),
      others: { format, parts: jpeg.othersOf(segments, lost) },
    };
  }
  if (format === "image/png") {
    const chunks = png.chunksOf(data);
    const block = chunks.find(({ kind }) => kind === "eXIf")?.content ?? NONE;
    const old = without(block, jpeg.EXIF);
    const orientation = orientationOf(old);
    return {
      icc: await png.profileOf(chunks),
      exif: old,
      xmp: await png.packetOf(chunks),
      others: { format, parts: png.othersOf(chunks, orientation !== 1, lost) },
    };
  }
  const chunks = webp.chunksOf(data);
  return {
    icc: webp.contentOf(chunks, "ICCP"),
    exif: without(webp.contentOf(chunks, "EXIF"), jpeg.EXIF),
    xmp: webp.contentOf(chunks, "XMP "),
    others: { format, parts: webp.othersOf(chunks, lost) },
  };
}

function orientationOf(block: Bytes): number {
  try {
    return exif.orientationOf(block) ?? 1;
  } catch {
    return 1;
  }
}

/** What a file of a format is to hold besides pixels. */
export interface Written {
  icc: Bytes;
  exif: Bytes;
  xmp: Bytes;
  others: jpeg.Segment[] | png.Chunk[] | webp.Chunk[];
}

/**
 * A picture's metadata as a format takes it, marked as derain's.
 * @param isGrey whether the file will have one colour channel
 * @param notes gets a line about what the format cannot hold
 */
export function fitted(
  picture: Picture,
  format: Format,
  isGrey: boolean,
  version: string,
  notes: string[],
): Written {
  const { metadata } = picture;
  const lost: string[] = [];
  if (metadata.others && metadata.others.format !== format && metadata.others.parts.length)
    lost.push(`what only a ${NAMES[metadata.others.format]} can hold`);
  if (picture.levels instanceof Uint16Array && format !== "image/png")
    lost.push("16 bits a channel");
  const icc = isFor(metadata.icc, isGrey) ? metadata.icc : NONE;
  if (metadata.icc.length && !icc.length) lost.push("a colour profile for other channels");
  if (lost.length) notes.push(`not kept in ${NAMES[format]}: ${lost.join(", ")}`);
  const others = metadata.others?.format === format ? metadata.others.parts : [];
  return { icc, exif: marked(metadata.exif, version), xmp: metadata.xmp, others };
}

function marked(block: Bytes, version: string): Bytes {
  try {
    return exif.marked(block, version);
  } catch {
    return exif.marked(NONE, version);
  }
}

/** Whether a profile is for grey, or for red, green and blue (ICC.1, section 7.2.6). */
function isFor(profile: Bytes, isGrey: boolean): boolean {
  const space = String.fromCharCode(...profile.subarray(16, 20));
  return space === (isGrey ? "GRAY" : "RGB ");
}

/** A JPEG with metadata; what is too long for it is named in notes. */
export function intoJpeg(
  data: Bytes,
  { icc, exif: block, xmp: packet, others }: Written,
  notes: string[],
): Bytes {
  const lost: string[] = [];
  const segments: jpeg.Segment[] = [];
  const parts: [string, Bytes, Bytes][] = [
    ["EXIF", jpeg.EXIF, block],
    ["XMP", jpeg.XMP, packet],
  ];
  for (const [name, head, content] of parts) {
    if (!content.length) continue;
    const whole = joined(head, content);
    if (jpeg.fits(whole)) segments.push({ marker: 0xe1, content: whole });
    else lost.push(name);
  }
  const profile = jpeg.profileSegments(icc);
  if (!profile) lost.push("colour profile");
  if (lost.length) notes.push(`too long for a JPEG: ${lost.join(", ")}`);
  return jpeg.withSegments(data, [...segments, ...(profile ?? []), ...(others as jpeg.Segment[])]);
}

/** The chunks of a PNG that go between its header and its pixels. */
export async function intoPng({
  icc,
  exif: block,
  xmp: packet,
  others,
}: Written): Promise<png.Chunk[]> {
  const chunks: png.Chunk[] = icc.length ? [await png.profileChunk(icc)] : [];
  // A profile counts for more than what only approximates it.
  chunks.push(...(others as png.Chunk[]).filter(({ kind }) => kind !== "sRGB" || !icc.length));
  if (block.length) chunks.push({ kind: "eXIf", content: block });
  if (packet.length) chunks.push(png.packetChunk(packet));
  return chunks;
}

export function intoWebp(
  data: Bytes,
  { icc, exif: block, xmp: packet, others }: Written,
  size: Size,
): Bytes {
  const chunks: webp.Chunk[] = [
    { kind: "ICCP", content: icc },
    { kind: "EXIF", content: block },
    { kind: "XMP ", content: packet },
  ];
  const known = chunks.filter(({ content }) => content.length);
  return webp.withChunks(data, [...known, ...(others as webp.Chunk[])], size);
}
