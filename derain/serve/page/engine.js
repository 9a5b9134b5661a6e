/**
 * Who derains: the server, over HTTP.
 *
 * The page knows an engine by two functions, so that another one can take its place (the page in a
 * browser without a server, in `web`):
 *
 *   models() -> {version, models, qualities, formats, limits, needsKey}
 *   derain(file, options, onProgress, signal) -> {blob, notes, seconds, model, name, where}
 *
 * and by two properties: `place` is what messages call it, `atOnce` how many pictures it gets at
 * once.
 *
 * options: {model, quality, strength, format}; model "" is by quality, quality "" is the default,
 * format "" is that of the picture.
 * onProgress gets {state: "uploading", share}, {state: "queued", place},
 * {state: "working", done, total}, {state: "busy", seconds}, {state: "loading", share},
 * {state: "reading"}, {state: "saving"} or {state: "elsewhere"}.
 * Both throw EngineError, and what the signal says when it is aborted.
 * name is that of the result's file, "" if the engine does not name it; where says by what means
 * the result was computed, if that is worth a word.
 */

const BY_STATUS = {
  400: "picture",
  401: "key",
  403: "refused",
  406: "option",
  408: "sending",
  411: "large",
  413: "large",
  415: "picture",
  421: "refused",
  422: "option",
  503: "stopping",
  504: "slow",
  507: "memory",
};
const POLL_MS = [300, 300, 500, 500, 1000];
const MOST_PATIENCE = 30;
const KEY = "derain-key";

/**
 * A refusal or a failure. `kind` says which, `detail` is the engine's own line or "", `title` the
 * engine's own words for the kind or "".
 */
export class EngineError extends Error {
  constructor(kind, detail = "", title = "") {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
    this.title = title;
  }
}

/** Random bytes as a UUID; crypto.randomUUID is missing where the page came over plain HTTP. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

/** Resolve after some time; reject at once when the signal is aborted. */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Seconds that Retry-After asks for, whether it is a number or a date. */
export function retryAfter(header) {
  const seconds = Number(header ?? NaN);
  const until = Number.isNaN(seconds) ? (Date.parse(header ?? "") - Date.now()) / 1000 : seconds;
  return Number.isFinite(until) ? Math.min(Math.max(until, 1), 600) : 5;
}

/** The file name in a Content-Disposition header; "" if there is none. */
export function dispositionName(header) {
  const extended = /filename\*\s*=\s*utf-8''([^;\s]+)/i.exec(header ?? "");
  if (extended) return decoded(extended[1]);
  const plain = /filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(header ?? "");
  return plain ? (plain[1]?.replace(/\\(.)/g, "$1") ?? plain[2]) : "";
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The engine behind derain's HTTP API, which lies beside the page. */
export class ServerEngine {
  #key = sessionKey();

  place = "this server";
  /** One picture travels while the server works on another. */
  atOnce = 2;

  constructor(base = document.baseURI) {
    this.base = base;
  }

  get hasKey() {
    return this.#key !== "";
  }

  /** Send this key from now on; "" for none. */
  useKey(key) {
    this.#key = key;
    try {
      sessionStorage.setItem(KEY, key);
    } catch {
      // Storage may be forbidden; the key then lasts until the page is loaded anew.
    }
  }

  async models() {
    const response = await this.#fetch("v1/models");
    if (!response.ok) throw failure(response.status, await response.text());
    const { needs_key: needsKey, ...offered } = await response.json();
    return { ...offered, needsKey };
  }

  async derain(file, options, onProgress, signal) {
    for (let refusals = 0; ; refusals += 1) {
      const answer = await this.#post(file, options, onProgress, signal);
      if (answer.status === 200) return result(answer);
      if (answer.status !== 429) throw failure(answer.status, await answer.blob?.text());
      // Whoever is refused again and again sends the picture less and less often.
      const patience = Math.min(2 ** refusals, MOST_PATIENCE);
      await countDown(
        Math.max(retryAfter(answer.header("Retry-After")), patience),
        onProgress,
        signal,
      );
    }
  }

  #url(path) {
    return new URL(path, this.base);
  }

  #headers() {
    return this.#key ? { Authorization: `Bearer ${this.#key}` } : {};
  }

  async #fetch(path, init = {}) {
    try {
      return await fetch(this.#url(path), { headers: this.#headers(), cache: "no-store", ...init });
    } catch (error) {
      if (init.signal?.aborted) throw init.signal.reason;
      throw new EngineError("unreachable");
    }
  }

  /** Post once. XMLHttpRequest, because fetch does not say how much was sent. */
  #post(file, options, onProgress, signal) {
    const job = uuid();
    const request = new XMLHttpRequest();
    const ended = new AbortController();
    return new Promise((resolve, reject) => {
      const cancel = () => {
        request.abort();
        this.#cancel(job);
        reject(signal.reason);
      };
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      signal?.addEventListener("abort", cancel, { once: true, signal: ended.signal });
      request.open("POST", this.#url("v1/derain"));
      request.responseType = "blob";
      request.setRequestHeader("Accept", options.format || "*/*");
      for (const [name, value] of Object.entries(this.#headers()))
        request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded, total }) => {
        onProgress?.({ state: "uploading", share: total ? loaded / total : 0 });
      };
      request.upload.onload = () => void this.#follow(job, onProgress, ended.signal);
      request.onerror = () => reject(new EngineError("unreachable"));
      request.onload = () =>
        resolve({
          status: request.status,
          blob: request.response,
          header: (name) => request.getResponseHeader(name),
        });
      request.send(formOf(file, options, job));
    }).finally(() => ended.abort());
  }

  /** Report how far a job is until its request has ended. */
  async #follow(job, onProgress, signal) {
    onProgress?.({ state: "working" });
    try {
      for (let round = 0; ; round += 1) {
        await pause(POLL_MS[Math.min(round, POLL_MS.length - 1)], signal);
        const response = await this.#fetch(`v1/jobs/${job}`, { signal });
        const progress = response.ok ? await response.json() : {};
        if (signal.aborted) return;
        if (["queued", "working"].includes(progress.state)) onProgress?.(progress);
      }
    } catch {
      // The request itself says how it ended; following it is a convenience.
    }
  }

  #cancel(job) {
    // keepalive, so that it is sent even while the page is closed.
    void this.#fetch(`v1/jobs/${job}`, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

function sessionKey() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function formOf(file, { model, quality, strength }, job) {
  const form = new FormData();
  // Options come first, so that a server may refuse them before it has read the picture.
  form.set("job", job);
  form.set("strength", String(strength));
  if (model) form.set("model", model);
  else if (quality) form.set("quality", quality);
  form.set("image", file, file.name);
  return form;
}

function result(answer) {
  const notes = answer.header("X-Derain-Notes");
  return {
    blob: answer.blob,
    notes: notes ? decoded(notes).split("; ") : [],
    seconds: Number(answer.header("X-Derain-Seconds")) || 0,
    model: answer.header("X-Derain-Model") ?? "",
    name: dispositionName(answer.header("Content-Disposition")),
  };
}

/** The error that a status and the body of an answer stand for. */
function failure(status, body = "") {
  let detail = "";
  try {
    const said = JSON.parse(body).detail;
    if (typeof said === "string") detail = said;
  } catch {
    // Not derain's own words, such as a proxy's page.
  }
  return new EngineError(BY_STATUS[status] ?? "other", detail);
}

async function countDown(seconds, onProgress, signal) {
  for (let left = seconds; left > 0; left -= 1) {
    onProgress?.({ state: "busy", seconds: left });
    await pause(Math.min(left, 1) * 1000, signal);
  }
}
