/** The pictures of this visit: what became of each, and which the engine works on. */

import { EngineError } from "./engine.js";
import { formatName, megapixels, bytes, resultName, typeOf } from "./words.js";

const PREVIEW = { strength: 0, format: "image/png" };
const THUMBNAIL = 144;

let count = 0;

/** One picture. `state` is waiting, running, key, done, failed or cancelled. */
export class Picture {
  constructor(file) {
    count += 1;
    this.id = `picture-${count}`;
    this.file = file;
    this.name = file.name;
    this.state = "waiting";
    this.progress = {};
    this.result = null;
    this.error = null;
    this.options = null;
    this.before = null;
    this.after = null;
    this.thumbnail = null;
    this.looked = look(file);
    this.controller = null;
  }

  /** Name for the result's file. */
  get resultName() {
    return this.result.name || resultName(this.name, this.result.blob.type);
  }

  get isBusy() {
    return this.state === "waiting" || this.state === "running" || this.state === "key";
  }
}

/** Pictures in order, and the engine's work on them. */
export class Pictures {
  /**
   * @param {object} engine see engine.js
   * @param {() => object} settings the options in force
   * @param {(picture: Picture) => void} onChange called whenever one changes
   */
  constructor(engine, settings, onChange) {
    this.engine = engine;
    this.settings = settings;
    this.onChange = onChange;
    this.limits = {};
    /** The cheapest choice of a model, for views in which nothing is taken out. */
    this.quickest = { model: "", quality: "" };
    this.isLocked = false;
    this.all = [];
    this.running = 0;
  }

  /** Take files in, and begin with them. */
  add(files) {
    const added = Array.from(files, (file) => new Picture(file));
    this.all.push(...added);
    for (const picture of added) void this.#open(picture);
    this.#next();
    return added;
  }

  remove(picture) {
    this.cancel(picture);
    this.all = this.all.filter((one) => one !== picture);
    for (const view of [picture.before, picture.after]) if (view) URL.revokeObjectURL(view.url);
  }

  cancel(picture) {
    if (!picture.isBusy) return;
    picture.controller?.abort(new DOMException("cancelled", "AbortError"));
    if (picture.state !== "running") this.#set(picture, { state: "cancelled" });
  }

  /** Do it once more, with the settings in force. */
  again(picture) {
    if (picture.isBusy) return;
    this.#set(picture, { state: "waiting", error: null, progress: {} });
    this.#next();
  }

  /** Send nothing until there is a key. */
  lock() {
    this.isLocked = true;
  }

  /** Go on with those that waited for a key. */
  unlock() {
    this.isLocked = false;
    for (const picture of this.all)
      if (picture.state === "key") this.#set(picture, { state: "waiting" });
    this.#next();
  }

  /** Whether a picture was made with other settings than those in force. */
  isStale(picture) {
    const changed = JSON.stringify(picture.options) !== JSON.stringify(this.settings());
    return ["done", "failed"].includes(picture.state) && picture.options !== null && changed;
  }

  cancelAll() {
    for (const picture of this.all) this.cancel(picture);
  }

  #set(picture, changes) {
    Object.assign(picture, changes);
    this.onChange(picture);
  }

  /** Show the picture as soon as the browser has decoded it. */
  async #open(picture) {
    const seen = await picture.looked;
    if (!seen) return;
    picture.before = seen.view;
    this.onChange(picture);
    picture.thumbnail = await thumbnailOf(picture.file, seen.image);
    this.onChange(picture);
  }

  #next() {
    while (this.running < this.engine.atOnce && !this.isLocked) {
      const picture = this.all.find((one) => one.state === "waiting");
      if (!picture) return;
      this.running += 1;
      void this.#run(picture).finally(() => {
        this.running -= 1;
        this.#next();
      });
    }
  }

  async #run(picture) {
    const { signal } = (picture.controller = new AbortController());
    const options = this.settings();
    this.#set(picture, { state: "running", progress: {}, options, error: null });
    const onProgress = (progress) => {
      if (!signal.aborted) this.#set(picture, { progress });
    };
    try {
      const seen = await picture.looked;
      this.#check(picture, seen);
      signal.throwIfAborted();
      const result = await this.engine.derain(picture.file, options, onProgress, signal);
      this.#replace(picture, result);
      await this.#view(picture, signal);
      this.#set(picture, { state: "done", progress: {} });
    } catch (error) {
      if (error.kind === "key") this.lock();
      this.#set(picture, outcome(error, signal));
    }
  }

  /** Refuse here what a server would refuse after a long upload. */
  #check(picture, seen) {
    const limit = this.limits;
    const { place } = this.engine;
    if (!picture.file.size) {
      throw new EngineError("picture", "The file is empty: choose another one.");
    }
    if (limit.bytes && picture.file.size > limit.bytes) {
      const found = `${bytes(picture.file.size)}; ${place} takes at most ${bytes(limit.bytes)}`;
      throw new EngineError("large", `${found}. Save it smaller, then add it again.`);
    }
    const pixels = seen ? seen.view.width * seen.view.height : 0;
    if (limit.pixels && pixels > limit.pixels) {
      const found = `${megapixels(pixels)}; ${place} takes at most ${megapixels(limit.pixels)}`;
      throw new EngineError("large", `${found}. Make it smaller, then add it again.`);
    }
  }

  #replace(picture, result) {
    if (picture.after) URL.revokeObjectURL(picture.after.url);
    this.#set(picture, { result, after: null, unseen: "" });
  }

  /** Find a form of before and after that the browser can show, and in which they line up. */
  async #view(picture, signal) {
    const seen = await look(picture.result.blob);
    const { type } = picture.result.blob;
    const unseen = formatName(seen ? typeOf(picture.file) : type);
    const isUnseen = !seen || !picture.before;
    try {
      const after = () => this.#preview(picture, asFile(picture), signal);
      picture.after = seen?.view ?? (await after());
      // Another size means that the browser ignored the orientation which the result has taken up.
      if (!picture.before || !isSameSize(picture.before, picture.after)) {
        const before = await this.#preview(picture, picture.file, signal);
        if (picture.before) URL.revokeObjectURL(picture.before.url);
        picture.before = before;
      }
      if (isUnseen) {
        const what = seen ? "The picture before is shown as a PNG" : "What you see is a PNG of it";
        const download = `Download gives the ${formatName(type)}`;
        picture.unseen = `This browser cannot show ${unseen}. ${what}. ${download}.`;
      }
    } catch {
      // The result is there all the same, unless the visitor cancelled.
      signal.throwIfAborted();
      const none = `This browser cannot show ${unseen}, and no view of it could be made`;
      picture.unseen = `${none}. Download gives the result.`;
    }
  }

  /** A file as the engine's PNG, with nothing taken out. */
  async #preview(picture, file, signal) {
    this.#set(picture, { progress: { state: "preview" } });
    const options = { ...this.quickest, ...PREVIEW };
    const { blob } = await this.engine.derain(file, options, null, signal);
    const seen = await look(blob);
    if (!seen) throw new EngineError("other");
    picture.thumbnail ??= await thumbnailOf(blob, seen.image);
    return seen.view;
  }
}

const asFile = ({ result, resultName }) =>
  new File([result.blob], resultName, { type: result.blob.type });

function outcome(error, signal) {
  if (signal.aborted) return { state: "cancelled", progress: {} };
  if (error.kind === "key") return { state: "key", progress: { state: "key" } };
  return { state: "failed", error, progress: {} };
}

const isSameSize = (one, other) => one.width === other.width && one.height === other.height;

/** Load a picture as the browser shows it, upright: its address and size, and itself; or null. */
async function look(blob) {
  const type = blob.name === undefined ? blob.type : typeOf(blob);
  if (type && !type.startsWith("image/")) return null;
  const url = URL.createObjectURL(blob);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(url);
    return null;
  }
  return { view: { url, width: image.naturalWidth, height: image.naturalHeight }, image };
}

/** A square cut from the middle. */
async function thumbnailOf(blob, image) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMBNAIL;
  const side = Math.min(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const [width, height] = [image.naturalWidth, image.naturalHeight].map((length) =>
    Math.round((length * THUMBNAIL) / side),
  );
  const place = [(THUMBNAIL - width) / 2, (THUMBNAIL - height) / 2];
  try {
    // Of a file, browsers do it beside the page; drawing a large picture would hold that up.
    const size = { resizeWidth: width, resizeHeight: height, resizeQuality: "medium" };
    const small = await createImageBitmap(blob, size);
    context.drawImage(small, ...place);
    small.close();
  } catch {
    context.drawImage(image, ...place, width, height);
  }
  return canvas;
}
