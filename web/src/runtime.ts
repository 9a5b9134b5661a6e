/** ONNX Runtime in the worker: WebAssembly on the processor, or WebGPU. */

import type {
  Env,
  InferenceSession,
  InferenceSessionFactory,
  TensorConstructor,
} from "onnxruntime-common";
import { models as files, runtimes } from "virtual:site";
import type { Network } from "./derain.js";
import { fetched, isAsExpected, probePicture, type Backend, type Model } from "./models.js";
import { isOutOfMemory } from "./problem.js";

/** The parts of ONNX Runtime that are used; each backend has a build of its own. */
interface Ort {
  env: Env;
  InferenceSession: InferenceSessionFactory;
  Tensor: TensorConstructor;
}

/** The graphics processor fails, or computes something else than the library. */
export class GraphicsError extends Error {}

export interface Settings {
  backend: Backend;
  threads: number;
  /** Address of the page. */
  base: string;
}

/** Executes models; what was loaded last is kept. */
export class Runtime {
  #ort: Ort | null = null;
  #session: { model: Model; session: InferenceSession } | null = null;

  constructor(readonly settings: Settings) {}

  /** Load a model; `onShare` gets how much of its files there is. */
  async open(model: Model, onShare: (share: number) => void): Promise<Network> {
    if (this.#session?.model.name !== model.name) {
      await this.#session?.session.release();
      this.#session = null;
      this.#session = { model, session: await this.#opened(model, onShare) };
    }
    const { session } = this.#session;
    return (planes) => this.#run(session, planes.data, planes.height, planes.width);
  }

  async #opened(model: Model, onShare: (share: number) => void): Promise<InferenceSession> {
    const { backend, base } = this.settings;
    const { graph, weights, weightsName } = files[model.name]!;
    const { script, binary } = runtimes[backend];
    const wanted = [graph, weights, ...(this.#ort ? [] : [binary])];
    const [graphBytes, weightBytes, wasm] = await fetched(wanted, base, onShare);
    this.#ort ??= await this.#loaded(new URL(script.path, base).href, wasm!.buffer);
    const session = await this.#guarded(() =>
      this.#ort!.InferenceSession.create(graphBytes!, {
        executionProviders: [backend],
        externalData: [{ path: weightsName, data: weightBytes! }],
        // Planning memory for every size of tile takes more of it than it saves.
        enableMemPattern: false,
        // Threads that spin while they wait take cores from other programs, and bring nothing alone.
        extra: { session: { intra_op: { allow_spinning: "0" } } },
      }),
    );
    if (backend === "webgpu") {
      const { data, height, width } = probePicture();
      if (!isAsExpected(model, await this.#run(session, data, height, width)))
        throw new GraphicsError("it computes something else");
    }
    return session;
  }

  async #loaded(script: string, wasm: ArrayBuffer): Promise<Ort> {
    const { backend, threads } = this.settings;
    const ort: Ort =
      backend === "webgpu"
        ? await import("onnxruntime-web/jspi")
        : await import("onnxruntime-web/wasm");
    ort.env.logLevel = "fatal";
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = { mjs: script };
    ort.env.wasm.wasmBinary = wasm;
    return ort;
  }

  async #run(
    session: InferenceSession,
    data: Float32Array,
    height: number,
    width: number,
  ): Promise<Float32Array> {
    return this.#guarded(async () => {
      const rainy = new this.#ort!.Tensor("float32", data, [1, 3, height, width]);
      const { clean } = await session.run({ rainy });
      const result = (await clean!.getData()) as Float32Array;
      clean!.dispose();
      rainy.dispose();
      return result;
    });
  }

  /** Tell failures of the graphics processor from others: there is another way to compute. */
  async #guarded<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (this.settings.backend !== "webgpu" || isOutOfMemory(error)) throw error;
      throw new GraphicsError(String(error));
    }
  }
}
