/** Several files as one ZIP archive. Pictures are compressed already, so they are stored. */

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
const UTF8_NAMES = 0x0800;
const VERSION = 20;
const JANUARY_1980 = 0x21;

/** What a ZIP archive without its 64-bit extension can hold. */
export const MOST_BYTES = 0xffff_ffff;

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** Numbers as little-endian bytes; each is [value, how many bytes]. */
function packed(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return view.buffer;
}

/** The fields that the header before a file and its entry in the directory have in common. */
function facts(size, crc, nameLength) {
  return [
    [VERSION, 2],
    [UTF8_NAMES, 2],
    [0, 2],
    [0, 2],
    [JANUARY_1980, 2],
    [crc, 4],
    [size, 4],
    [size, 4],
    [nameLength, 2],
    [0, 2],
  ];
}

/**
 * @param {{name: string, blob: Blob}[]} files names have to differ
 * @returns {Promise<Blob>}
 */
export async function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, blob } of files) {
    const title = new TextEncoder().encode(name);
    const common = facts(blob.size, crc32(new Uint8Array(await blob.arrayBuffer())), title.length);
    const header = packed([0x04034b50, 4], ...common);
    parts.push(header, title, blob);
    // No comment, first disk, no attributes.
    directory.push(
      packed([0x02014b50, 4], [VERSION, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]),
      title,
    );
    offset += header.byteLength + title.length + blob.size;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const count = files.length;
  const end = packed(
    [0x06054b50, 4],
    [0, 2],
    [0, 2],
    [count, 2],
    [count, 2],
    [size, 4],
    [offset, 4],
    [0, 2],
  );
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
