/** Pictures to image files, with the metadata that they were read with. */

import { fitted, intoJpeg, intoPng, intoWebp } from "./metadata.js";
import type { Bytes } from "./bytes.js";
import { bare } from "./jpeg.js";
import type { Format, Picture } from "./picture.js";
import { encoded } from "./png.js";
import { Problem } from "./problem.js";
import type { Levels } from "./tiles.js";

/** Of JPEG and WebP, where the input gives none to keep; as in the library. */
const QUALITY = 95;
const TYPES: readonly string[] = ["image/jpeg", "image/png", "image/webp"];

/** A file, and what could not be kept, in words for the visitor. */
export interface Encoded {
  blob: Blob;
  notes: string[];
}

/** Encode a picture; `asked` is a media type, or "" for the picture's own format. */
export async function encode(picture: Picture, asked: string, version: string): Promise<Encoded> {
  const format = (TYPES.includes(asked) ? asked : picture.format) as Format;
  const notes: string[] = [];
  if (format === "image/jpeg" && picture.alpha)
    throw new Problem(
      "other",
      "It has transparency, which a JPEG cannot hold: save as PNG or WebP.",
    );
  const flat = picture.isGrey ? { ...picture, levels: greyed(picture.levels) } : picture;
  // A canvas has colours only.
  const isGrey = picture.isGrey && format === "image/png";
  const written = fitted(flat, format, isGrey, version, notes);
  let data: Bytes;
  if (format === "image/png") {
    data = await encoded({ ...flat, isGrey }, await intoPng(written));
  } else if (format === "image/jpeg") {
    // Some browsers add a colour profile of their own.
    data = intoJpeg(bare(await drawn(flat, format, shareOf(picture))), written, notes);
  } else {
    const share = picture.format === format && picture.isLossless ? 1 : QUALITY / 100;
    data = intoWebp(await drawn(flat, format, share), written, picture);
    if (picture.alpha?.some((value) => value > 0 && value < 255))
      notes.push("colours of pixels that are partly transparent were rounded");
  }
  return { blob: new Blob([data], { type: format }), notes };
}

/**
 * The quality that a canvas is asked for. Below 1 browsers halve the colours' sides; where the
 * original has them whole, so has the result.
 */
function shareOf({ format, quality, isFull, isGrey }: Picture): number {
  if (format !== "image/jpeg") return QUALITY / 100;
  return isFull && !isGrey && quality >= QUALITY ? 1 : quality / 100;
}

/** Levels whose three channels are their mean. */
function greyed(levels: Levels): Levels {
  const grey = levels.slice();
  for (let at = 0; at < grey.length; at += 3) {
    const sum = levels[at]! + levels[at + 1]! + levels[at + 2]!;
    grey.fill(Math.round(sum / 3), at, at + 3);
  }
  return grey;
}

/** Eight-bit levels as a canvas encodes them. */
async function drawn(picture: Picture, type: Format, quality: number): Promise<Bytes> {
  const { width, height, levels, alpha } = picture;
  const eight = (level: number) => (levels instanceof Uint16Array ? (level + 128) / 257 : level);
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let pixel = 0, at = 0; pixel < width * height; pixel += 1, at += 4) {
    pixels[at] = Math.floor(eight(levels[3 * pixel]!));
    pixels[at + 1] = Math.floor(eight(levels[3 * pixel + 1]!));
    pixels[at + 2] = Math.floor(eight(levels[3 * pixel + 2]!));
    pixels[at + 3] = alpha ? Math.floor(eight(alpha[pixel]!)) : 255;
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: alpha !== null });
  if (!context) throw new Problem("memory");
  context.putImageData(new ImageData(pixels, width, height), 0, 0);
  const blob = await canvas.convertToBlob({ type, quality });
  if (blob.type !== type)
    throw new Problem("other", "This browser cannot write WebP: choose JPEG or PNG under Save as.");
  return new Uint8Array(await blob.arrayBuffer());
}
