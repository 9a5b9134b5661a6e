/** What the page and its worker say to each other. */

import type { Format } from "./picture.js";
import type { Kind } from "./problem.js";
import type { Settings } from "./runtime.js";

/** How far a picture is, as the page shows it. */
export type Progress =
  | { state: "loading"; share: number }
  | { state: "reading" | "saving" | "elsewhere" }
  | { state: "working"; done: number; total: number };

/** A picture for the worker. */
export interface Job {
  file: Blob;
  model: string;
  strength: number;
  /** A media type, or "" for the picture's own. */
  format: Format | "";
  /** Largest side of a tile in pixels. */
  mostTile: number;
  mostPixels: number;
  settings: Settings;
}

export type Answer =
  | { kind: "progress"; progress: Progress }
  | { kind: "done"; blob: Blob; notes: string[]; seconds: number }
  | { kind: "failed"; problem: { kind: Kind; detail: string; title: string } }
  /** The graphics processor failed; the job may be done by WebAssembly. */
  | { kind: "graphics" };
