/** Bytes: joined, compared, and read as numbers and text. */

export type Bytes = Uint8Array<ArrayBuffer>;

const LATIN = new TextDecoder("latin1");

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Letters of one byte each, such as the name of a chunk. */
export function ascii(text: string): Bytes {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

export function asText(bytes: Uint8Array): string {
  return LATIN.decode(bytes);
}

export function joined(...parts: Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function startsWith(bytes: Uint8Array, head: Uint8Array, at = 0): boolean {
  return (
    bytes.length >= at + head.length && head.every((byte, place) => bytes[at + place] === byte)
  );
}

/** A copy of bytes without what they begin with, if they begin with that. */
export function without(bytes: Uint8Array, head: Uint8Array): Bytes {
  return bytes.slice(startsWith(bytes, head) ? head.length : 0);
}

export function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && startsWith(one, other);
}

/** Run bytes through one of the browser's (de)compressors. */
export async function piped(
  bytes: Bytes | Blob,
  stream: CompressionStream | DecompressionStream,
): Promise<Bytes> {
  const source = bytes instanceof Blob ? bytes : new Blob([bytes]);
  return new Uint8Array(await new Response(source.stream().pipeThrough(stream)).arrayBuffer());
}
