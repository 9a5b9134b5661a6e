/** The page without a server: this browser derains, and the site is kept for use offline. */

import { start } from "@page/derain.js";
import { BrowserEngine } from "./browser-engine.js";
import { filesFor } from "./models.js";
import { keepOffline, type Offline } from "./offline.js";

const engine = new BrowserEngine(new URLSearchParams(location.search).get("engine"));
const pictures = start(engine);

const OFFLINE: Record<Offline, string> = {
  no: "",
  soon: "Getting ready to work offline",
  ready: "Works offline",
};

/** Say in the footer where pictures are computed, and whether that needs the network. */
async function showMeans(offline: Offline): Promise<void> {
  const means = await engine.means();
  const isSlow = !crossOriginIsolated && means.includes("1 thread");
  const hint = isSlow ? "reload the page for more, if the browser allows them" : "";
  const parts = [`Computes in this browser: ${means}`, hint].filter(Boolean).join("; ");
  const texts = [parts, OFFLINE[offline]].filter(Boolean);
  document.getElementById("runs")!.textContent = texts.map((text) => ` · ${text}`).join("");
}

let offline: Offline = "no";
engine.onMeans = () => void showMeans(offline);
engine.onMeans();
void engine.backend.then((backend) =>
  keepOffline(
    filesFor(backend),
    () => pictures.all.length > 0,
    (state) => {
      offline = state;
      void showMeans(state);
    },
  ),
);
