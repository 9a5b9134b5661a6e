/** The engine that is this browser; its interface is that of derain/serve/page/engine.js. */

import { EngineError } from "@page/engine.js";
import type { Answer, Job, Progress } from "./messages.js";
import { chosen, MODELS, QUALITIES, VERSION, type Backend } from "./models.js";
import type { Format } from "./picture.js";

const GIBIBYTE = 2 ** 30;
/** Gibibytes of a device that does not say. */
const USUAL_MEMORY = 4;
/** Pixels for each gibibyte: file, levels before and after, and what encoders take. */
const PIXELS_PER_GIBIBYTE = 12_500_000;
const LEAST_TILE = 256;
const MOST_THREADS = 8;
/** WebAssembly never gives memory back, so a worker that idles is ended. */
const IDLE_MS = 60_000;
const ELSEWHERE_MS = 400;

export interface Options {
  model: string;
  quality: string;
  strength: number;
  format: Format | "";
}

export interface Result {
  blob: Blob;
  notes: string[];
  seconds: number;
  model: string;
  name: string;
  where: string;
}

interface GraphicsAdapter {
  info?: { isFallbackAdapter?: boolean };
  isFallbackAdapter?: boolean;
}

interface Device {
  deviceMemory?: number;
  gpu?: { requestAdapter(options: object): Promise<GraphicsAdapter | null> };
}

type OnProgress = ((progress: Progress) => void) | null;

/** Computes in a worker, one picture at a time over all tabs of the site. */
export class BrowserEngine {
  readonly place = "this browser";
  readonly atOnce = 1;
  readonly hasKey = false;
  #worker: Worker | null = null;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #backend: Promise<Backend>;
  #memory = (navigator as Device).deviceMemory ?? USUAL_MEMORY;
  /** Called when pictures are computed by other means from now on. */
  onMeans: () => void = () => {};

  /** @param asked `wasm` or `webgpu` for just that; otherwise what this browser has */
  constructor(asked: string | null = null) {
    this.#backend = asked === "wasm" || asked === "webgpu" ? Promise.resolve(asked) : bestBackend();
  }

  get backend(): Promise<Backend> {
    return this.#backend;
  }

  get threads(): number {
    return crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  }

  /** By what means pictures are computed, in words. */
  async means(): Promise<string> {
    if ((await this.#backend) === "webgpu") return "WebGPU";
    return `WebAssembly, ${this.threads} thread${this.threads === 1 ? "" : "s"}`;
  }

  async models(): Promise<object> {
    return {
      version: VERSION,
      models: MODELS.map(({ name, title, about, parameters, default: isDefault }) => ({
        name,
        title,
        about,
        parameters,
        default: isDefault,
      })),
      qualities: Object.keys(QUALITIES),
      formats: ["image/jpeg", "image/png", "image/webp"],
      limits: { pixels: this.#mostPixels },
      needsKey: false,
    };
  }

  async derain(
    file: Blob,
    options: Options,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Result> {
    const turn = () => this.#derained(file, options, onProgress, signal);
    // Plain HTTP, other than from this device itself, has no locks.
    if (!("locks" in navigator)) return turn();
    const waiting = setTimeout(() => onProgress?.({ state: "elsewhere" }), ELSEWHERE_MS);
    try {
      return (await navigator.locks.request("derain", { signal }, () => {
        clearTimeout(waiting);
        return turn();
      })) as Result;
    } finally {
      clearTimeout(waiting);
    }
  }

  get #mostPixels(): number {
    return this.#memory * PIXELS_PER_GIBIBYTE;
  }

  /** Derain in tiles that halve while memory is short, as the library does. */
  async #derained(
    file: Blob,
    options: Options,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Result> {
    const model = chosen(options.model, options.quality);
    let { tile } = model.tiling;
    while (tile ** 2 * model.tiling.memory > (this.#memory * GIBIBYTE) / 4) tile /= 2;
    for (;;) {
      signal.throwIfAborted();
      const backend = await this.#backend;
      const settings = { backend, threads: this.threads, base: document.baseURI };
      const { strength, format } = options;
      const job: Job = {
        file,
        model: model.name,
        strength,
        format,
        mostTile: tile,
        mostPixels: this.#mostPixels,
        settings,
      };
      const answer = await this.#asked(job, onProgress, signal);
      if (answer.kind === "done") {
        const where = strength === 0 ? "" : `in this browser, ${await this.means()}`;
        return { ...answer, model: model.name, name: "", where };
      }
      if (answer.kind === "graphics") {
        this.#stop();
        this.#backend = Promise.resolve("wasm");
        this.onMeans();
        continue;
      }
      const { kind, detail, title } = answer.problem;
      if (kind !== "memory") throw new EngineError(kind, detail, title);
      // What ran out of memory cannot be relied on.
      this.#stop();
      tile /= 2;
      if (tile < LEAST_TILE)
        throw new EngineError("memory", "close other tabs, or make it smaller, then add it again.");
    }
  }

  /** Give a job to the worker, and wait for its end. */
  #asked(
    job: Job,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Exclude<Answer, { kind: "progress" }>> {
    clearTimeout(this.#idle);
    this.#worker ??= new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    const worker = this.#worker;
    const ended = new AbortController();
    const until = { signal: ended.signal };
    return new Promise<Exclude<Answer, { kind: "progress" }>>((resolve, reject) => {
      const cancel = () => {
        this.#stop();
        reject(signal.reason);
      };
      signal.addEventListener("abort", cancel, until);
      const receive = ({ data }: MessageEvent<Answer>) => {
        if (data.kind === "progress") onProgress?.(data.progress);
        else resolve(data);
      };
      worker.addEventListener("message", receive, until);
      const fail = ({ message = "" }: ErrorEvent | (MessageEvent & { message?: string })) => {
        this.#stop();
        const detail = "its script could not be loaded or failed; reload the page, then try again.";
        const title = "This browser could not do this picture";
        if (/memory|alloc/i.test(message))
          resolve({ kind: "failed", problem: { kind: "memory", detail: "", title: "" } });
        else reject(new EngineError("other", detail, title));
      };
      worker.addEventListener("error", fail, until);
      worker.addEventListener("messageerror", fail, until);
      worker.postMessage(job);
    }).finally(() => {
      ended.abort();
      if (this.#worker) this.#idle = setTimeout(() => this.#stop(), IDLE_MS);
    });
  }

  /** End the worker, at once and with all its threads. */
  #stop(): void {
    this.#worker?.terminate();
    this.#worker = null;
  }
}

/** WebGPU where there is a graphics processor behind it, and WebAssembly can wait for it. */
async function bestBackend(): Promise<Backend> {
  try {
    if (!("Suspending" in WebAssembly)) return "wasm";
    const adapter = await (navigator as Device).gpu?.requestAdapter({
      powerPreference: "high-performance",
    });
    if (!adapter || adapter.info?.isFallbackAdapter || adapter.isFallbackAdapter) return "wasm";
    return "webgpu";
  } catch {
    return "wasm";
  }
}
