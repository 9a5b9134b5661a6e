import { join } from "node:path";
import { defineConfig } from "vite";
import { PAGE } from "./tools/page.js";
import { inWorker, site } from "./tools/site.js";

const WEB = import.meta.dirname;

export default defineConfig({
  // The site may lie anywhere on a host.
  base: "./",
  root: WEB,
  publicDir: false,
  plugins: [site()],
  resolve: {
    alias: { "@page": PAGE },
    // ONNX Runtime's own files lie beside the page, and are loaded only where they are used.
    conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "production"],
  },
  worker: { format: "es", plugins: () => [inWorker()] },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
    rollupOptions: {
      input: {
        index: join(WEB, "index.html"),
        "service-worker": join(WEB, "src/service-worker.ts"),
      },
      output: {
        entryFileNames: ({ name }) =>
          name === "service-worker" ? "[name].js" : "assets/[name]-[hash].js",
      },
    },
  },
});
