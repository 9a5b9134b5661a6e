/** The worker: a file in, a file out. The page does nothing but show how far it is. */

import { decode } from "./decode.js";
import { derained } from "./derain.js";
import { encode } from "./encode.js";
import type { Answer, Job, Progress } from "./messages.js";
import { chosen, VERSION } from "./models.js";
import { isOutOfMemory, Problem } from "./problem.js";
import { GraphicsError, Runtime } from "./runtime.js";
import { limited } from "./tiles.js";

let runtime: Runtime | null = null;

const post = (answer: Answer) => self.postMessage(answer);
const report = (progress: Progress) => post({ kind: "progress", progress });

self.addEventListener("message", ({ data }: MessageEvent<Job>) => void answer(data));

async function answer(job: Job): Promise<void> {
  try {
    post(await done(job));
  } catch (error) {
    if (error instanceof GraphicsError) post({ kind: "graphics" });
    else post({ kind: "failed", problem: described(error) });
  }
}

async function done(job: Job): Promise<Answer> {
  let begin = performance.now();
  report({ state: "reading" });
  const picture = await decode(new Uint8Array(await job.file.arrayBuffer()), job.mostPixels);
  if (job.strength !== 0) {
    const model = chosen(job.model, "");
    runtime ??= new Runtime(job.settings);
    const loading = performance.now();
    report({ state: "loading", share: 0 });
    const network = await runtime.open(model, (share) => report({ state: "loading", share }));
    // What is loaded once is not the picture's time.
    begin += performance.now() - loading;
    const facts = { tiling: limited(model.tiling, job.mostTile), leastSide: model.leastSide };
    report({ state: "working", done: 0, total: 0 });
    picture.levels = await derained(
      picture.levels,
      picture,
      network,
      facts,
      job.strength,
      (tiles, total) => report({ state: "working", done: tiles, total }),
    );
  }
  report({ state: "saving" });
  const { blob, notes } = await encode(picture, job.format, VERSION);
  const seconds = (performance.now() - begin) / 1000;
  return { kind: "done", blob, notes: [...picture.notes, ...notes], seconds };
}

function described(error: unknown): { kind: Problem["kind"]; detail: string; title: string } {
  if (error instanceof Problem) {
    const { kind, detail, title } = error;
    return { kind, detail, title };
  }
  if (isOutOfMemory(error)) return { kind: "memory", detail: "", title: "" };
  const found = error instanceof Error ? error.message : String(error);
  return {
    kind: "other",
    detail: `${found.slice(0, 200)}; reload the page, then try again.`,
    title: "This browser could not do this picture",
  };
}
