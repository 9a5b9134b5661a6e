/** XMP packets, edited as text where they describe the old file (derain/images/xmp.py). */

import type { Bytes } from "./bytes.js";
import type { Turn } from "./exif.js";

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** What announces a gain map, a video, a depth map or a signature that a result does not have. */
const ANNOUNCES =
  /\b(?:hdrgm|HDRGainMap|Container|Device):|MotionPhoto|MicroVideo|LivePhoto|dcterms:provenance|xmp:Thumbnails|xmpGImg:/;
const FACES = /\b(?:mwg-rs:Regions|MP:RegionInfo)\b/;

function textOf(packet: Bytes): string | null {
  try {
    return DECODER.decode(packet);
  } catch {
    return null;
  }
}

/** Attributes and elements of a property, with what stands before and behind the value. */
function property(name: string): RegExp {
  return new RegExp(`(\\s${name}\\s*=\\s*["']|<${name}(?:\\s[^<>]*)?>)([^"'<]*)`, "g");
}

/** The orientation that a packet asks for, null if it does not say. */
export function orientationOf(packet: Bytes): number | null {
  const found = property("tiff:Orientation").exec(textOf(packet) ?? "");
  return found && /^\s*\d{1,5}\s*$/.test(found[2]!) ? Number(found[2]) : null;
}

/**
 * A packet that describes the upright picture alone.
 * @param lost gets a name for the visitor of what is not kept
 */
export function corrected(packet: Bytes, turn: Turn, lost: Set<string>): Bytes {
  let text = textOf(packet);
  if (text === null) {
    if (packet.length) lost.add("XMP in an unusual encoding");
    return new Uint8Array(0);
  }
  if (ANNOUNCES.test(text)) {
    lost.add("XMP about further pictures in the file");
    return new Uint8Array(0);
  }
  if (turn.orientation !== 1 && FACES.test(text)) {
    lost.add("XMP with marked faces of a turned picture");
    return new Uint8Array(0);
  }
  text = put(text, "tiff:Orientation", 1);
  if (turn.orientation > 4) {
    for (const [name, value] of [
      ["tiff:ImageWidth", turn.width],
      ["tiff:ImageLength", turn.height],
      ["exif:PixelXDimension", turn.width],
      ["exif:PixelYDimension", turn.height],
    ] as const)
      text = put(text, name, value);
  }
  return new TextEncoder().encode(text);
}

function put(text: string, name: string, value: number): string {
  return text.replace(property(name), (_, before: string) => `${before}${value}`);
}
