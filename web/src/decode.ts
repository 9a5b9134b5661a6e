/** Image files to pictures, upright, with levels as they are stored: no colour is converted. */

import { ascii, asText, startsWith, type Bytes } from "./bytes.js";
import * as jpeg from "./jpeg.js";
import { nothing, read } from "./metadata.js";
import * as png from "./png.js";
import { upright, type Format, type Picture } from "./picture.js";
import { Problem } from "./problem.js";
import type { Levels, Size } from "./tiles.js";
import * as webp from "./webp.js";

type Kind = Format | "image/gif" | "image/bmp" | "image/avif" | "image/heic" | "image/tiff" | "";
/** Pictures are drawn in strips: some browsers allow no canvas as large as a photograph. */
const STRIP = 1024;
const NAMES: Partial<Record<Kind, string>> = { "image/heic": "HEIC", "image/tiff": "TIFF" };
const AS_JPEG_OR_PNG = "open it in another program and save it as JPEG or PNG, then add it again";

export function kindOf(data: Uint8Array): Kind {
  const text = asText(data.subarray(0, 32));
  if (data[0] === 0xff && data[1] === 0xd8 && data[2] === 0xff) return "image/jpeg";
  if (png.isPng(data)) return "image/png";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "image/webp";
  if (/^GIF8[79]a/.test(text)) return "image/gif";
  if (text.startsWith("BM")) return "image/bmp";
  if (/^....ftypavi[fs]/s.test(text)) return "image/avif";
  if (/^....ftyp(?:hei|hev|mif1|msf1)/s.test(text)) return "image/heic";
  if (startsWith(data, ascii("II*\0")) || startsWith(data, ascii("MM\0*"))) return "image/tiff";
  return "";
}

/**
 * Decode a file.
 * @param mostPixels how many pixels it may have
 * @throws Problem if it is not a picture that this browser can read
 */
export async function decode(data: Bytes, mostPixels: number): Promise<Picture> {
  const kind = kindOf(data);
  if (kind === "image/jpeg") return decodeJpeg(data, mostPixels);
  if (kind === "image/png") return decodePng(data, mostPixels);
  if (kind === "image/webp") return decodeWebp(data, mostPixels);
  return decodeOther(data, kind, mostPixels);
}

function check({ width, height }: Size, mostPixels: number): void {
  if (width === 0 || height === 0) throw damaged();
  if (width * height <= mostPixels) return;
  const found = Math.round((width * height) / 1e6);
  const most = Math.round(mostPixels / 1e6);
  throw new Problem(
    "large",
    `${found} megapixels; this browser takes at most ${most} megapixels. Make it smaller, then add it again.`,
  );
}

const damaged = () => new Problem("picture", `the file is damaged; ${AS_JPEG_OR_PNG}.`);
const animated = (what: string) =>
  new Problem("picture", `${what}, which is a clip rather than a picture; expected a picture.`);

async function decodeJpeg(data: Bytes, mostPixels: number): Promise<Picture> {
  const facts = jpeg.factsOf(data);
  if (!facts) throw damaged();
  check(facts, mostPixels);
  const { levels, size } = await drawn(jpeg.bare(data), "image/jpeg");
  const isGrey = facts.channels === 1;
  return finished(data, "image/jpeg", { ...size, levels, alpha: null, isGrey }, facts);
}

async function decodePng(data: Bytes, mostPixels: number): Promise<Picture> {
  const chunks = png.chunksOf(data);
  const header = png.headerOf(chunks);
  check(header, mostPixels);
  if (chunks.some(({ kind }) => kind === "acTL")) throw animated("a PNG animation");
  let pixels: png.Pixels | null;
  try {
    pixels = png.pixelsOf(chunks);
  } catch (error) {
    if (error instanceof RangeError && /alloc|invalid (typed )?array length/i.test(error.message))
      throw error;
    throw damaged();
  }
  if (!pixels) {
    const { levels, alpha, size } = await drawn(data, "image/png", { hasAlpha: true });
    const isOpaque = alpha.every((value) => value === 255);
    const isGrey = header.colour === 0;
    pixels = { ...size, levels, alpha: isOpaque ? null : alpha, isGrey };
  }
  return finished(data, "image/png", pixels);
}

async function decodeWebp(data: Bytes, mostPixels: number): Promise<Picture> {
  const chunks = webp.chunksOf(data);
  const claimed = webp.sizeOf(chunks);
  if (!claimed) throw damaged();
  check(claimed, mostPixels);
  if (webp.isAnimated(chunks)) throw animated("a WebP animation");
  const hasAlpha = webp.hasAlpha(chunks);
  const { levels, alpha, size } = await drawn(webp.bare(data), "image/webp", { hasAlpha });
  const pixels = { ...size, levels, alpha: hasAlpha ? alpha : null, isGrey: false };
  const picture = await finished(data, "image/webp", pixels);
  return { ...picture, isLossless: webp.isLossless(chunks) };
}

/** What the browser may or may not know; its metadata is not read. */
async function decodeOther(data: Bytes, kind: Kind, mostPixels: number): Promise<Picture> {
  let found;
  try {
    found = await drawn(data, kind, { mostPixels });
  } catch (error) {
    if (error instanceof Problem && error.kind === "large") throw error;
    const what = NAMES[kind]
      ? `this browser cannot read ${NAMES[kind]}`
      : "it is no JPEG, PNG or WebP";
    throw new Problem("picture", `${what}; ${AS_JPEG_OR_PNG}.`);
  }
  const isOpaque = found.alpha.every((value) => value === 255);
  const isPhotograph = isOpaque && kind !== "image/gif" && kind !== "image/bmp";
  return {
    ...found.size,
    levels: found.levels,
    alpha: isOpaque ? null : found.alpha,
    isGrey: false,
    format: isPhotograph ? "image/jpeg" : "image/png",
    quality: 95,
    isFull: true,
    isLossless: false,
    metadata: nothing(),
    notes: kind === "image/avif" || kind === "image/heic" ? ["not kept: metadata"] : [],
  };
}

/** Put together what was decoded, and turn it upright. */
async function finished(
  data: Bytes,
  format: Format,
  pixels: png.Pixels,
  facts: Partial<jpeg.JpegFacts> = {},
): Promise<Picture> {
  const { width, height, levels, alpha, isGrey } = pixels;
  const { metadata, orientation, notes } = await read(data, format, pixels);
  return {
    width: orientation > 4 ? height : width,
    height: orientation > 4 ? width : height,
    levels: upright(levels, 3, pixels, orientation),
    alpha: alpha && upright(alpha, 1, pixels, orientation),
    isGrey,
    format,
    quality: facts.quality ?? 95,
    isFull: facts.isFull ?? true,
    isLossless: false,
    metadata,
    notes,
  };
}

interface Drawn {
  size: Size;
  levels: Levels;
  alpha: Uint8Array<ArrayBuffer>;
}

/** Let the browser decode a file, with its levels as they are. */
async function drawn(
  data: Bytes,
  type: string,
  { mostPixels = Infinity, hasAlpha = false } = {},
): Promise<Drawn> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([data], { type }), {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch (error) {
    // Browsers say no more than that: a lack of memory looks like a damaged file.
    if (error instanceof RangeError) throw error;
    throw damaged();
  }
  const size = { width: bitmap.width, height: bitmap.height };
  try {
    check(size, mostPixels);
    const exact = hasAlpha ? exactChannelsOf(bitmap) : null;
    return { size, ...(exact ?? (await channelsOf(bitmap))) };
  } finally {
    bitmap.close();
  }
}

type Channels = Omit<Drawn, "size">;

function emptyChannels({ width, height }: Size): Channels {
  return {
    levels: new Uint8Array(3 * width * height),
    alpha: new Uint8Array(width * height),
  };
}

/** Lay rows of red, green, blue and alpha apart. */
function layApart(data: Uint8Array | Uint8ClampedArray, into: Channels, first: number): void {
  const { levels, alpha } = into;
  let at = 3 * first;
  for (let from = 0, pixel = first; from < data.length; from += 4, pixel += 1) {
    levels[at++] = data[from]!;
    levels[at++] = data[from + 1]!;
    levels[at++] = data[from + 2]!;
    alpha[pixel] = data[from + 3]!;
  }
}

/** What a canvas gives: exact where the picture is opaque, rounded where it is transparent. */
async function channelsOf(bitmap: ImageBitmap): Promise<Channels> {
  const { width, height } = bitmap;
  const channels = emptyChannels(bitmap);
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Problem("memory");
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    layApart(context.getImageData(0, 0, width, rows).data, channels, top * width);
  }
  return channels;
}

/** What WebGL gives: exact also where the picture is transparent; null where it does not work. */
function exactChannelsOf(bitmap: ImageBitmap): Channels | null {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl || Math.max(width, height) > (gl.getParameter(gl.MAX_TEXTURE_SIZE) as number))
    return null;
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  const texture = gl.getParameter(gl.TEXTURE_BINDING_2D) as WebGLTexture;
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const channels = emptyChannels(bitmap);
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    const data = new Uint8Array(4 * width * rows);
    gl.readPixels(0, top, width, rows, gl.RGBA, gl.UNSIGNED_BYTE, data);
    layApart(data, channels, top * width);
  }
  const isDone = gl.getError() === gl.NO_ERROR;
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return isDone ? channels : null;
}
