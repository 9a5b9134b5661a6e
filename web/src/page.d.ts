/** What the page of `derain serve` offers to engines; see derain/serve/page/engine.js. */

declare module "@page/derain.js" {
  export function start(engine: unknown): { all: unknown[] };
}

declare module "@page/engine.js" {
  export class EngineError extends Error {
    constructor(kind: string, detail?: string, title?: string);
    readonly kind: string;
    readonly detail: string;
    readonly title: string;
  }
}
