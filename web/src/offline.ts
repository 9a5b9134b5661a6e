/** The service worker, seen from the page: it keeps the site's files, and allows threads. */

export type Offline = "no" | "soon" | "ready";

const RELOADED = "derain-reloaded";

/**
 * Have the site's files kept.
 *
 * A page may use threads only if its host sends two headers, which most static hosts do not. The
 * service worker adds them, from the second load on; so a first visit is loaded once more, unless
 * the visitor has already begun.
 */
export async function keepOffline(
  files: string[],
  isBusy: () => boolean,
  onChange: (state: Offline) => void,
): Promise<void> {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  try {
    await serviceWorker.register("service-worker.js");
    const { active } = await serviceWorker.ready;
    if (!crossOriginIsolated && !isBusy() && isFirstTry()) {
      location.reload();
      return;
    }
    onChange("soon");
    serviceWorker.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      if (data === "kept") onChange("ready");
    });
    active?.postMessage(files);
  } catch {
    // Private windows may have none: the page works, but needs the network.
    onChange("no");
  }
}

/** Whether this tab has not been reloaded yet: a browser that still has no threads never gets any. */
function isFirstTry(): boolean {
  try {
    const isFirst = sessionStorage.getItem(RELOADED) === null;
    sessionStorage.setItem(RELOADED, "1");
    return isFirst;
  } catch {
    return false;
  }
}
