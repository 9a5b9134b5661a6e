/** What the site has besides its scripts: models, ONNX Runtime, icons, notices, service worker. */

import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Plugin, Rollup } from "vite";
import facts from "../src/facts.json" with { type: "json" };
import { noticesOf, packageOf } from "./licences.js";
import { PAGE, pageOf, POLICY } from "./page.js";

const WEB = join(import.meta.dirname, "..");
const WEIGHTS = join(WEB, "..", "derain", "weights", "files");
const RUNTIME = join(WEB, "node_modules", "onnxruntime-web", "dist");
const MODULE = "virtual:site";
const SERVICE_WORKER = "service-worker.js";
const BUILDS = { wasm: "ort-wasm-simd-threaded", webgpu: "ort-wasm-simd-threaded.jspi" };

interface File {
  path: string;
  bytes: number;
  content: Buffer;
}

/** A file for the site, whose name changes with its content. */
function file(folder: string, source: string, ending: string): File {
  const content = readFileSync(source);
  const digest = createHash("sha256").update(content).digest("hex").slice(0, 10);
  const stem = basename(source).replace(/\.[^.]+$/, "");
  return { path: `${folder}/${stem}-${digest}${ending}`, bytes: content.length, content };
}

const models = Object.fromEntries(
  facts.models.map(({ name }) => {
    const graph = file("models", join(WEIGHTS, `${name}.onnx`), ".onnx");
    const weights = file("models", join(WEIGHTS, `${name}.safetensors`), ".safetensors");
    return [name, { graph, weights, weightsName: `${name}.safetensors` }];
  }),
);
const runtimes = Object.fromEntries(
  Object.entries(BUILDS).map(([backend, name]) => {
    // Some hosts do not know that .mjs is a script.
    const script = file("runtime", join(RUNTIME, `${name}.mjs`), ".js");
    const binary = file("runtime", join(RUNTIME, `${name}.wasm`), ".wasm");
    return [backend, { script, binary }];
  }),
);
const large = [...Object.values(models), ...Object.values(runtimes)].flatMap((group) =>
  Object.values(group).filter((one): one is File => typeof one === "object"),
);

const MANIFEST = {
  name: "derain: take the rain out of pictures",
  short_name: "derain",
  description: "Takes the rain out of photographs, on this device.",
  start_url: "./",
  scope: "./",
  display: "standalone",
  background_color: "#f3f6f8",
  theme_color: "#f3f6f8",
  icons: [
    { src: "icon.svg", sizes: "any", type: "image/svg+xml" },
    { src: "icons/icon-192.png", sizes: "192x192", type: "image/png" },
    { src: "icons/icon-512.png", sizes: "512x512", type: "image/png" },
    {
      src: "icons/icon-maskable-512.png",
      sizes: "512x512",
      type: "image/png",
      purpose: "maskable",
    },
  ],
};
/** For hosts that read it (one file of headers beside the page); others get by without. */
const HEADERS = `/*
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
  Cross-Origin-Resource-Policy: same-origin
  Content-Security-Policy: ${POLICY}; frame-ancestors 'none'
  X-Content-Type-Options: nosniff
  Referrer-Policy: no-referrer
`;

/** Vite's plugin. */
export function site(): Plugin {
  const packages = new Set<string>();
  return {
    name: "derain-site",
    resolveId: (id) => (id === MODULE ? `\0${MODULE}` : null),
    load: (id) => (id === `\0${MODULE}` ? described() : null),
    transformIndexHtml: { order: "pre", handler: () => pageOf() },
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const id of this.getModuleIds()) note(id, packages);
        for (const [path, content] of statics())
          this.emitFile({ type: "asset", fileName: path, source: content });
        const notices = noticesOf(packages);
        this.emitFile({ type: "asset", fileName: "licences.txt", source: notices });
        fillIn(
          bundle,
          [...Object.keys(bundle), ...statics().map(([path]) => path), "licences.txt"],
          notices,
        );
      },
    },
  };
}

/** Vite's plugin for the worker, which is a bundle of its own: notes which packages it takes from. */
export function inWorker(): Plugin {
  return {
    name: "derain-site-worker",
    resolveId: (id) => (id === MODULE ? `\0${MODULE}` : null),
    load: (id) => (id === `\0${MODULE}` ? described() : null),
    generateBundle() {
      for (const id of this.getModuleIds()) note(id, ofWorker);
    },
  };
}

const ofWorker = new Set<string>();

function note(id: string, packages: Set<string>): void {
  const name = packageOf(id);
  if (name) packages.add(name);
  for (const one of ofWorker) packages.add(one);
}

function described(): string {
  const plain = (one: unknown) =>
    JSON.stringify(one, (key, value: unknown) => (key === "content" ? undefined : value));
  return `export const models = ${plain(models)};\nexport const runtimes = ${plain(runtimes)};`;
}

/** Files that are copied as they are. */
function statics(): [string, Buffer | string][] {
  const copied = (folder: string, into: string) =>
    readdirSync(folder)
      .filter((name) => /\.(?:jpg|png)$/.test(name))
      .map((name): [string, Buffer] => [`${into}/${name}`, readFileSync(join(folder, name))]);
  return [
    ["icon.svg", readFileSync(join(PAGE, "icon.svg"))],
    ...copied(join(PAGE, "samples"), "samples"),
    ...copied(join(WEB, "icons"), "icons"),
    ...large.map(({ path, content }): [string, Buffer] => [path, content]),
    ["manifest.webmanifest", `${JSON.stringify(MANIFEST, null, 2)}\n`],
    ["_headers", HEADERS],
  ];
}

/** Tell the service worker which files there are. */
function fillIn(bundle: Rollup.OutputBundle, paths: string[], notices: string): void {
  const worker = bundle[SERVICE_WORKER];
  if (worker?.type !== "chunk") throw new Error(`no ${SERVICE_WORKER} in the build`);
  const isLarge = new Set(large.map(({ path }) => path));
  const shell = paths
    .filter((path) => !isLarge.has(path) && ![SERVICE_WORKER, "_headers"].includes(path))
    .sort();
  const digest = createHash("sha256").update(notices);
  for (const output of Object.values(bundle))
    digest.update(output.type === "chunk" ? output.code : output.source);
  const values: Record<string, unknown> = {
    SHELL: shell,
    LARGE: [...isLarge].sort(),
    BUILD: digest.digest("hex").slice(0, 12),
    POLICY,
  };
  const lines = Object.entries(values).map(
    ([name, value]) => `const ${name}=${JSON.stringify(value)};`,
  );
  worker.code = `${lines.join("\n")}\n${worker.code}`;
}
