/** What goes wrong in the worker, in the page's terms. */

/** Kinds of failure that the page has words for; see `words.js` of the page. */
export type Kind = "picture" | "memory" | "large" | "unreachable" | "other";

/** A failure with a line for the visitor: found, expected, what to do. */
export class Problem extends Error {
  constructor(
    readonly kind: Kind,
    readonly detail: string = "",
    readonly title: string = "",
  ) {
    super(detail || kind);
  }
}

const OUT_OF_MEMORY =
  /out of memory|bad_alloc|allocation failed|failed to allocate|cannot enlarge|could not be allocated|Invalid (typed )?array length|array buffer allocation|OOM|exceeds? (the )?(maximum|limit)|memory access out of bounds|unable to (get|grow)/i;

/** Whether an error of the browser, of WebAssembly or of ONNX Runtime says that memory ran out. */
export function isOutOfMemory(error: unknown): boolean {
  if (error instanceof Problem) return error.kind === "memory";
  // Emscripten throws the address of a C++ exception, which only memory leaves uncaught here.
  if (typeof error === "number") return true;
  return OUT_OF_MEMORY.test(error instanceof Error ? error.message : String(error));
}
