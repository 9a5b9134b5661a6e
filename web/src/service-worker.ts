/**
 * Keeps the site's files, so that it works offline, and sends them with headers: for threads, and
 * with the policy that forbids requests to other hosts, in the page and in its workers.
 */

/// <reference lib="webworker" />

export {};

declare const self: ServiceWorkerGlobalScope;
/** Filled in by the build: files that every visit needs, those that some need, their version. */
declare const SHELL: string[];
declare const LARGE: string[];
declare const BUILD: string;
declare const POLICY: string;

const SHELL_CACHE = `derain-${BUILD}`;
/** Names of large files change with their content, so that a new version fetches only what is new. */
const LARGE_CACHE = "derain-large";
const HEADERS = {
  "Content-Security-Policy": POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};
const address = (path: string) => new URL(path, self.registration.scope).href;
const coming = new Map<string, Promise<Response>>();

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => event.waitUntil(keep(event)));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(self.registration.scope))
    event.respondWith(answer(event.request));
});

async function install(): Promise<void> {
  const cache = await caches.open(SHELL_CACHE);
  await cache.addAll(SHELL.map((path) => new Request(address(path), { cache: "no-cache" })));
  // A page that is open keeps the files it began with until its last tab is closed.
  if (!self.registration.active) await self.skipWaiting();
}

async function activate(): Promise<void> {
  for (const name of await caches.keys())
    if (name.startsWith("derain-") && ![SHELL_CACHE, LARGE_CACHE].includes(name))
      await caches.delete(name);
  const large = await caches.open(LARGE_CACHE);
  const known = new Set(LARGE.map(address));
  for (const { url } of await large.keys()) if (!known.has(url)) await large.delete(url);
  await self.clients.claim();
}

/** Keep files that the page asks for, and say so when they are all there. */
async function keep(event: ExtendableMessageEvent): Promise<void> {
  const wanted = (event.data as string[]).filter((path) => LARGE.includes(path));
  await Promise.all(wanted.map((path) => large(address(path))));
  event.source?.postMessage("kept");
}

/** A large file, fetched once however many ask for it. */
async function large(url: string): Promise<Response> {
  const cache = await caches.open(LARGE_CACHE);
  const kept = await cache.match(url);
  if (kept) return kept;
  const fetching =
    coming.get(url) ??
    fetch(url).then(async (response) => {
      if (response.ok) await cache.put(url, response.clone());
      return response;
    });
  coming.set(url, fetching);
  try {
    return (await fetching).clone();
  } finally {
    coming.delete(url);
  }
}

async function answer(request: Request): Promise<Response> {
  const url = request.url.split(/[?#]/)[0]!;
  if (LARGE.some((path) => address(path) === url)) return guarded(await large(url));
  const cache = await caches.open(SHELL_CACHE);
  const place = url === self.registration.scope ? address("index.html") : url;
  return guarded((await cache.match(place)) ?? (await fetch(request)));
}

/** The same answer with the headers. */
function guarded(response: Response): Response {
  // What is opaque or a redirect cannot be changed.
  if (response.type === "opaque" || response.type === "opaqueredirect" || response.status === 0)
    return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
