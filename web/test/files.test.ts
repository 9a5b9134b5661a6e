/** Files: pixels of PNG to the bit, and metadata of JPEG, PNG and WebP as it is kept. */

import { decode as decodePng } from "fast-png";
import { expect, test } from "vitest";
import { ascii, asText, joined, viewOf, type Bytes } from "../src/bytes.js";
import { kindOf } from "../src/decode.js";
import * as exif from "../src/exif.js";
import * as jpeg from "../src/jpeg.js";
import { fitted, intoJpeg, intoPng, intoWebp, nothing, read } from "../src/metadata.js";
import { upright, type Picture } from "../src/picture.js";
import * as png from "../src/png.js";
import * as webp from "../src/webp.js";
import * as xmp from "../src/xmp.js";

const VERSION = "1.2.3";

/** An EXIF block: orientation 6, sizes 40 x 30, a subject, a maker, and a thumbnail's directory. */
function block(isLittle: boolean): Bytes {
  const bytes = new Uint8Array(140);
  const view = viewOf(bytes);
  bytes.set(ascii(isLittle ? "II" : "MM"));
  const short = (at: number, value: number) => view.setUint16(at, value, isLittle);
  const long = (at: number, value: number) => view.setUint32(at, value, isLittle);
  const entry = (at: number, tag: number, type: number, count: number) => {
    short(at, tag);
    short(at + 2, type);
    long(at + 4, count);
  };
  short(2, 42);
  long(4, 8);
  short(8, 3);
  entry(10, 0x010f, 2, 4); // Make
  bytes.set(ascii("abc\0"), 18);
  entry(22, 0x0112, 3, 1);
  short(30, 6);
  entry(34, 0x8769, 4, 1);
  long(42, 60);
  long(46, 120); // the next directory, of a thumbnail
  short(60, 3);
  entry(62, 0x9214, 3, 2);
  short(70, 10);
  short(72, 20);
  entry(74, 0xa002, 4, 1);
  long(82, 40);
  entry(86, 0xa003, 3, 1);
  short(94, 30);
  short(120, 0);
  return bytes;
}

test.each([true, false])("EXIF describes the upright picture (little endian: %s)", (isLittle) => {
  const old = block(isLittle);
  expect(exif.orientationOf(old)).toBe(6);
  const turn = { orientation: 6, width: 30, height: 40 };
  const found = exif.corrected(old, turn);
  const view = viewOf(found);
  expect(exif.orientationOf(found)).toBe(1);
  expect(view.getUint32(46, isLittle)).toBe(0);
  expect([view.getUint32(82, isLittle), view.getUint16(94, isLittle)]).toEqual([30, 40]);
  expect([view.getUint16(70, isLittle), view.getUint16(72, isLittle)]).toEqual([9, 10]);
  expect(exif.orientationOf(old)).toBe(6);

  const marked = exif.marked(found, VERSION);
  expect(asText(marked)).toContain("derain 1.2.3\0");
  expect(exif.orientationOf(marked)).toBe(1);
  expect(marked.subarray(8, found.length)).toEqual(found.subarray(8));
  expect(exif.marked(marked, VERSION).length).toBeGreaterThan(marked.length);
});

test("a block is made where there is none, and a damaged one is refused", () => {
  expect(asText(exif.marked(new Uint8Array(0), VERSION))).toMatch(/^II\*\0.*derain 1\.2\.3\0/s);
  expect(() => exif.orientationOf(ascii("nothing of the kind"))).toThrow(RangeError);
  const cut = block(true).slice(0, 30);
  expect(() => exif.corrected(cut, { orientation: 1, width: 1, height: 1 })).toThrow(RangeError);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "pixels are turned as points are: orientation %d",
  (orientation) => {
    const size = { width: 3, height: 2 };
    const turned = upright(Uint8Array.of(0, 1, 2, 3, 4, 5), 1, size, orientation);
    const isExchanged = orientation > 4;
    const turn = { orientation, width: isExchanged ? 2 : 3, height: isExchanged ? 3 : 2 };
    for (let level = 0; level < 6; level += 1) {
      const [x, y] = exif.turnedPoint(level % 3, Math.floor(level / 3), turn);
      expect(turned[y * turn.width + x]).toBe(level);
    }
  },
);

const PACKET = ascii(
  '<x:xmpmeta><rdf:Description tiff:Orientation="6" tiff:ImageWidth="40"><tiff:ImageLength>30</tiff:ImageLength></rdf:Description></x:xmpmeta>',
);

test("XMP describes the upright picture, and nothing that is gone", () => {
  const lost = new Set<string>();
  expect(xmp.orientationOf(PACKET)).toBe(6);
  const found = asText(xmp.corrected(PACKET, { orientation: 6, width: 30, height: 40 }, lost));
  expect(found).toContain('tiff:Orientation="1" tiff:ImageWidth="30"><tiff:ImageLength>40<');
  expect(lost.size).toBe(0);
  const motion = ascii('<a GCamera:MotionPhoto="1"/>');
  expect(xmp.corrected(motion, { orientation: 1, width: 1, height: 1 }, lost)).toHaveLength(0);
  expect([...lost]).toEqual(["XMP about further pictures in the file"]);
});

// Pixels ------------------------------------------------------------------------------------------

const size = { width: 7, height: 5 };
const picture = (changes: Partial<Picture>): Picture => ({
  ...size,
  levels: Uint8Array.from({ length: 105 }, (_, k) => (k * 37) % 256),
  alpha: null,
  isGrey: false,
  format: "image/png",
  quality: 95,
  isFull: true,
  isLossless: false,
  metadata: nothing(),
  notes: [],
  ...changes,
});

const alpha = Uint8Array.from({ length: 35 }, (_, k) => k * 7);
const grey = Uint8Array.from({ length: 105 }, (_, k) => Math.floor(k / 3) * 5);
const deep = Uint16Array.from({ length: 105 }, (_, k) => (k * 7919) % 65536);

test.each([
  ["colour", {}, 3],
  ["colour with alpha", { alpha }, 4],
  ["grey", { levels: grey, isGrey: true }, 1],
  ["grey with alpha", { levels: grey, isGrey: true, alpha }, 2],
  ["16 bits", { levels: deep }, 3],
  ["16 bits with alpha", { levels: deep, alpha: deep.slice(0, 35) }, 4],
])("PNG keeps pixels to the bit: %s", async (_, changes, channels) => {
  const before = picture(changes);
  const data = await png.encoded(before, []);
  // The checksums are right, too.
  expect(decodePng(data, { checkCrc: true }).channels).toBe(channels);
  const after = png.pixelsOf(png.chunksOf(data))!;
  expect(after.levels).toEqual(before.levels);
  expect(after.alpha).toEqual(before.alpha);
  expect(after.isGrey).toBe(before.isGrey);
});

// Metadata from file to file ----------------------------------------------------------------------

const profile = (space: string) => {
  const bytes = new Uint8Array(70_000).map((_, k) => k % 251);
  bytes.set(ascii(space), 16);
  return bytes;
};
const full = () => ({ ...nothing(), icc: profile("RGB "), exif: block(true), xmp: PACKET });
/** As encoders write them, without metadata. */
const BARE = {
  jpeg: joined(
    Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16),
    ascii("JFIF\0"),
    new Uint8Array(9),
    Uint8Array.of(0xff, 0xc0, 0, 17, 8, 0, 30, 0, 40, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1),
    Uint8Array.of(0xff, 0xda, 0, 2, 1, 2, 3, 0xff, 0xd9),
  ),
  webp: joined(
    ascii("RIFF"),
    Uint8Array.of(30, 0, 0, 0),
    ascii("WEBPVP8 "),
    Uint8Array.of(10, 0, 0, 0, 0, 0, 0, 0x9d, 1, 0x2a, 40, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  ).slice(0, 30),
};

test("JPEG: what is written is read, upright, and marked", async () => {
  const notes: string[] = [];
  const from = picture({ metadata: full(), format: "image/jpeg" });
  const written = fitted(from, "image/jpeg", false, VERSION, notes);
  const data = intoJpeg(BARE.jpeg, written, notes);
  expect(notes).toEqual([]);
  expect(jpeg.factsOf(data)).toMatchObject({ width: 40, height: 30, channels: 3, isFull: false });
  const found = await read(data, "image/jpeg", { width: 40, height: 30 });
  expect(found.orientation).toBe(6);
  expect(found.metadata.icc).toEqual(profile("RGB "));
  expect(exif.orientationOf(found.metadata.exif)).toBe(1);
  expect(asText(found.metadata.exif)).toContain("derain 1.2.3");
  expect(asText(found.metadata.xmp)).toContain('tiff:Orientation="1"');
  expect(jpeg.bare(data)).toEqual(BARE.jpeg);
});

test("JPEG: what describes the rainy picture is left out, a maker's segments are kept", async () => {
  const segments = [
    { marker: 0xe2, content: ascii("MPF\0rest") },
    { marker: 0xeb, content: ascii("JP rest") },
    { marker: 0xe5, content: ascii("maker") },
    { marker: jpeg.COMMENT, content: ascii("a comment") },
  ];
  const data = joined(jpeg.withSegments(BARE.jpeg, segments), ascii("a video"));
  const { metadata, notes } = await read(data, "image/jpeg", size);
  expect(metadata.others?.parts.map((part) => asText(part.content))).toEqual([
    "maker",
    "a comment",
  ]);
  expect(notes).toEqual([
    "not kept: content credentials, what lies behind the picture, such as a video",
  ]);
});

test("PNG: what is written is read; texts stay, a turned picture's place goes", async () => {
  const others = [
    { kind: "tEXt", content: ascii("Author\0somebody") },
    { kind: "pHYs", content: Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 2, 1) },
    { kind: "oFFs", content: new Uint8Array(9) },
  ];
  const metadata = { ...full(), others: { format: "image/png" as const, parts: others } };
  const notes: string[] = [];
  const written = fitted(picture({ metadata }), "image/png", false, VERSION, notes);
  const data = await png.encoded(picture({}), await intoPng(written));
  expect(decodePng(data, { checkCrc: true }).text).toEqual({ Author: "somebody" });
  const found = await read(data, "image/png", size);
  expect(found.orientation).toBe(6);
  expect(found.metadata.icc).toEqual(profile("RGB "));
  expect(asText(found.metadata.exif)).toContain("derain 1.2.3");
  expect(asText(found.metadata.xmp)).toContain('tiff:Orientation="1"');
  const parts = found.metadata.others!.parts as png.Chunk[];
  expect(parts.map(({ kind }) => kind)).toEqual(["tEXt", "pHYs"]);
  expect([...parts[1]!.content]).toEqual([0, 0, 0, 2, 0, 0, 0, 1, 1]);
  expect(found.notes).toEqual(["not kept: PNG oFFs"]);
});

test("WebP: what is written is read", async () => {
  const written = fitted(picture({ metadata: full() }), "image/webp", false, VERSION, []);
  const data = intoWebp(BARE.webp, written, { width: 40, height: 30 });
  expect(viewOf(data).getUint32(4, true)).toBe(data.length - 8);
  expect(webp.sizeOf(webp.chunksOf(data))).toEqual({ width: 40, height: 30 });
  expect(webp.chunksOf(data).map(({ kind }) => kind)).toEqual([
    "VP8X",
    "ICCP",
    "VP8 ",
    "EXIF",
    "XMP ",
  ]);
  const found = await read(data, "image/webp", { width: 40, height: 30 });
  expect(found.orientation).toBe(6);
  expect(found.metadata.icc).toEqual(profile("RGB "));
  expect(webp.contentOf(webp.chunksOf(webp.bare(data)), "EXIF")).toHaveLength(0);
});

test("what a format cannot hold is named", () => {
  const notes: string[] = [];
  const metadata = {
    ...full(),
    icc: profile("GRAY"),
    others: { format: "image/png" as const, parts: [{ kind: "tEXt", content: ascii("a\0b") }] },
  };
  fitted(picture({ metadata, levels: deep }), "image/jpeg", false, VERSION, notes);
  expect(notes).toEqual([
    "not kept in JPEG: what only a PNG can hold, 16 bits a channel, a colour profile for other channels",
  ]);
});

test("damaged EXIF is left out, and said", async () => {
  const segments = [{ marker: 0xe1, content: joined(jpeg.EXIF, ascii("II*\0\xff\xff\xff\xff")) }];
  const { metadata, notes } = await read(
    jpeg.withSegments(BARE.jpeg, segments),
    "image/jpeg",
    size,
  );
  expect(metadata.exif).toHaveLength(0);
  expect(notes).toEqual(["damaged EXIF was not kept"]);
});

test("files are known by how they begin", () => {
  const kinds = [
    [BARE.jpeg, "image/jpeg"],
    [png.SIGNATURE, "image/png"],
    [BARE.webp, "image/webp"],
    [ascii("\0\0\0\x18ftypavif"), "image/avif"],
    [ascii("\0\0\0\x18ftypheic"), "image/heic"],
    [ascii("MM\0*"), "image/tiff"],
    [ascii("no picture"), ""],
    [new Uint8Array(0), ""],
  ] as const;
  for (const [data, kind] of kinds) expect(kindOf(data)).toBe(kind);
});
