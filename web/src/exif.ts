/** EXIF blocks: made to describe the upright picture, and marked as derain's (derain/images/exif.py). */

import { ascii, asText, joined, viewOf, type Bytes } from "./bytes.js";
import type { Size } from "./tiles.js";

const SIZES: Record<number, number> = {
  1: 1,
  2: 1,
  3: 2,
  4: 4,
  5: 8,
  6: 1,
  7: 1,
  8: 2,
  9: 4,
  10: 8,
  11: 4,
  12: 8,
  13: 4,
};
const ASCII = 2;
const SHORT = 3;
const LONG = 4;
const ORIENTATION = 0x0112;
const SOFTWARE = 0x000b;
const EXIF_POINTER = 0x8769;
const INTEROP_POINTER = 0xa005;
/** Width and height of the picture: of TIFF, Exif and the interoperability directory. */
const SIZE_TAGS = [
  [0x0100, 0x0101],
  [0xa002, 0xa003],
  [0x1001, 0x1002],
] as const;
/** What is exchanged when rows become columns: resolution of the picture and of the sensor. */
const RESOLUTION_TAGS = [
  [0x011a, 0x011b],
  [0xa20e, 0xa20f],
] as const;
/** Where the subject lies, in pixels. */
const SUBJECT_TAGS = [0x9214, 0xa214];

interface Field {
  tag: number;
  type: number;
  place: number;
  at: number;
  length: number;
}

interface Directory {
  fields: Field[];
  start: number;
  /** Where the offset of the next directory lies. */
  end: number;
}

/** How a picture was turned to stand upright: EXIF's orientation, and the size after that. */
export interface Turn extends Size {
  orientation: number;
}

class Block {
  readonly view: DataView;
  readonly isLittle: boolean;

  constructor(readonly bytes: Bytes) {
    this.view = viewOf(bytes);
    const head = asText(bytes.subarray(0, 2));
    this.isLittle = head === "II";
    if ((head !== "II" && head !== "MM") || bytes.length < 8 || this.short(2) !== 42)
      throw new RangeError("no EXIF block");
  }

  short = (at: number): number => this.view.getUint16(at, this.isLittle);
  long = (at: number): number => this.view.getUint32(at, this.isLittle);

  directory(start: number): Directory {
    if (start < 8) throw new RangeError("a directory outside the block");
    const count = this.short(start);
    const end = start + 2 + 12 * count;
    this.long(end);
    const fields: Field[] = [];
    for (let place = start + 2; place < end; place += 12) {
      const [tag, type] = [this.short(place), this.short(place + 2)];
      const length = (SIZES[type] ?? 0) * this.long(place + 4);
      const at = length > 4 ? this.long(place + 8) : place + 8;
      if (length > 0 && at + length <= this.bytes.length)
        fields.push({ tag, type, place, at, length });
    }
    return { fields, start, end };
  }

  first = (): Directory => this.directory(this.long(4));

  /** The fields that a tag points to; none if they are damaged. */
  behind(fields: Field[], pointer: number): Field[] {
    const field = fields.find((one) => one.tag === pointer && one.type === LONG);
    try {
      return field ? this.directory(this.long(field.at)).fields : [];
    } catch {
      return [];
    }
  }

  number({ type, at }: Field): number | null {
    if (type === SHORT) return this.short(at);
    if (type === LONG) return this.long(at);
    return type === 1 ? this.bytes[at]! : null;
  }

  put({ type, at }: Field, value: number): boolean {
    if (type === SHORT && value < 65536) this.view.setUint16(at, value, this.isLittle);
    else if (type === LONG) this.view.setUint32(at, value, this.isLittle);
    else if (type === 1 && value < 256) this.bytes[at] = value;
    else return false;
    return true;
  }
}

/**
 * The orientation that a block asks for, null if it does not say.
 * @throws RangeError if this is no EXIF block
 */
export function orientationOf(block: Bytes): number | null {
  const read = new Block(block);
  const field = read.first().fields.find(({ tag }) => tag === ORIENTATION);
  return field ? read.number(field) : null;
}

/**
 * A block that describes the upright picture and has no thumbnail, which would still show the rain.
 * @throws RangeError if this is no EXIF block
 */
export function corrected(block: Bytes, turn: Turn): Bytes {
  const edited = new Block(block.slice());
  const first = edited.first();
  for (const field of first.fields.filter(({ tag }) => tag === ORIENTATION)) {
    if (edited.put(field, 1)) continue;
    edited.view.setUint16(field.place + 2, SHORT, edited.isLittle);
    edited.view.setUint32(field.place + 4, 1, edited.isLittle);
    edited.view.setUint16(field.place + 8, 1, edited.isLittle);
  }
  edited.view.setUint32(first.end, 0, edited.isLittle);
  const exif = edited.behind(first.fields, EXIF_POINTER);
  for (const fields of [first.fields, exif, edited.behind(exif, INTEROP_POINTER)])
    turnFields(edited, fields, turn);
  return edited.bytes;
}

function turnFields(edited: Block, fields: Field[], turn: Turn): void {
  const known = new Map(fields.map((field) => [field.tag, field]));
  if (turn.orientation > 4) {
    for (const [across, down] of SIZE_TAGS) {
      const [one, other] = [known.get(across), known.get(down)];
      if (one) edited.put(one, turn.width);
      if (other) edited.put(other, turn.height);
    }
    for (const [across, down] of RESOLUTION_TAGS) {
      const [one, other] = [known.get(across), known.get(down)];
      if (one && other && one.type === other.type && one.length === other.length) {
        const kept = edited.bytes.slice(one.at, one.at + one.length);
        edited.bytes.copyWithin(one.at, other.at, other.at + other.length);
        edited.bytes.set(kept, other.at);
      }
    }
  }
  if (turn.orientation === 1) return;
  for (const tag of SUBJECT_TAGS) {
    const field = known.get(tag);
    if (field) turnSubject(edited, field, turn);
  }
}

/** Turn a point, a circle or a rectangle of two, three or four short numbers. */
function turnSubject(edited: Block, { type, at, length }: Field, turn: Turn): void {
  if (type !== SHORT || length < 4 || length > 8) return;
  const numbers = Array.from({ length: length / 2 }, (_, k) => edited.short(at + 2 * k));
  const rest = numbers.slice(2);
  if (rest.length === 2 && turn.orientation > 4) rest.reverse();
  const turned = [...turnedPoint(numbers[0]!, numbers[1]!, turn), ...rest];
  if (turned.some((value) => value < 0 || value > 65535)) return;
  turned.forEach((value, k) => edited.view.setUint16(at + 2 * k, value, edited.isLittle));
}

/** Where a pixel of the old picture lies in the upright one. */
export function turnedPoint(x: number, y: number, turn: Turn): [number, number] {
  if (turn.orientation > 4) [x, y] = [y, x];
  if ([2, 3, 6, 7].includes(turn.orientation)) x = turn.width - 1 - x;
  if ([3, 4, 7, 8].includes(turn.orientation)) y = turn.height - 1 - y;
  return [x, y];
}

/**
 * A block that says that derain made the picture; a minimal one if it is empty. The directory goes
 * behind everything else, so that nothing has to move.
 * @throws RangeError if the block is damaged
 */
export function marked(block: Bytes, version: string): Bytes {
  const text = ascii(`derain ${version}\0`);
  const old = block.length ? new Block(block) : null;
  const isLittle = old?.isLittle ?? true;
  const body = old ? block : joined(ascii("II"), Uint8Array.of(42, 0, 0, 0, 0, 0));
  const first = old?.first();
  const entries = new Map<number, Uint8Array>();
  if (old && first) {
    for (let place = first.start + 2; place < first.end; place += 12) {
      const tag = old.short(place);
      if (!entries.has(tag)) entries.set(tag, block.subarray(place, place + 12));
    }
  }
  const even = (bytes: Uint8Array) => (bytes.length % 2 ? joined(bytes, Uint8Array.of(0)) : bytes);
  const head = even(body);
  const entry = new Uint8Array(12);
  const numbers = viewOf(entry);
  numbers.setUint16(0, SOFTWARE, isLittle);
  numbers.setUint16(2, ASCII, isLittle);
  numbers.setUint32(4, text.length, isLittle);
  if (text.length > 4) numbers.setUint32(8, head.length, isLittle);
  entries.set(SOFTWARE, entry);
  const front = even(joined(head, text));
  const counted = new Uint8Array(2);
  viewOf(counted).setUint16(0, entries.size, isLittle);
  const following = new Uint8Array(4);
  if (old && first) viewOf(following).setUint32(0, old.long(first.end), isLittle);
  const sorted = [...entries].sort(([one], [other]) => one - other).map(([, bytes]) => bytes);
  const whole = joined(front, counted, ...sorted, following);
  viewOf(whole).setUint32(4, front.length, isLittle);
  return whole;
}
