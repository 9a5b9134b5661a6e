/** The page: connects what the visitor does with the pictures, the viewer and the engine. */

import { Pictures } from "./pictures.js";
import { Viewer } from "./viewer.js";
import { MOST_BYTES, zip } from "./zip.js";
import * as words from "./words.js";

const $ = (id) => document.getElementById(id);
/** How long a progress that is heard, not seen, keeps silent between two reports. */
const SAY_EVERY_MS = 5000;

const viewer = new Viewer((zoom) => {
  $("zoom-now").textContent = words.percent(zoom);
});
let engine, pictures;
let selected = null;
let models = [];
let pasted = 0;
let lastSaid = 0;

// What the page offers at first -------------------------------------------------------------------

/**
 * Begin.
 * @param {object} chosen who derains; see engine.js
 * @returns {Pictures} the pictures of this visit
 */
export function start(chosen) {
  engine = chosen;
  pictures = new Pictures(engine, settings, changed);
  document.documentElement.classList.add("js");
  $("image").multiple = true;
  $("image").required = false;
  if (/Mac|iPhone|iPad/.test(navigator.platform)) $("paste-key").textContent = "⌘ V";
  void learn();
  listen();
  showSettings();
  return pictures;
}

/** Ask the engine what it has, and offer that. */
async function learn() {
  try {
    const offered = await engine.models();
    offer(offered);
    if (!offered.needsKey) {
      $("key-form").hidden = true;
      return true;
    }
    askForKey();
  } catch (error) {
    if (error.kind === "key") askForKey();
    else alarm(words.problem(error));
  }
  return false;
}

function offer({ version = "", models: found = [], qualities = [], formats = [], limits = {} }) {
  const before = settings();
  models = found;
  pictures.limits = limits;
  pictures.quickest = { model: "", quality: qualities.includes("fast") ? "fast" : "" };
  $("version").textContent = version;
  offerModels(qualities, before);
  const types = formats.map((type) => new Option(words.formatName(type), type));
  $("format").replaceChildren(new Option("Format of the original", ""), ...types);
  $("format").value = before.format;
  const most = [
    limits.bytes && words.bytes(limits.bytes),
    limits.pixels && words.megapixels(limits.pixels),
  ];
  const said = most.filter(Boolean).join(" and ");
  $("limits").textContent = said ? `, up to ${said}` : "";
  showSettings();
}

/** A server need not have every model, so some qualities may be missing. */
function offerModels(qualities, before) {
  const byQuality = qualities.length ? [new Option("Chosen by quality", "")] : [];
  const names = models.map(
    ({ name, default: isDefault }) => new Option(name, name, false, !qualities.length && isDefault),
  );
  $("model").replaceChildren(...byQuality, ...names);
  if (byQuality.length) $("model").value = before.model;
  $("qualities").hidden = !qualities.length;
  const radios = [...document.querySelectorAll("[name=quality]")];
  for (const radio of radios) radio.parentElement.hidden = !qualities.includes(radio.value);
  const shown = radios.filter((radio) => qualities.includes(radio.value));
  if (shown.length && !shown.some((radio) => radio.checked)) shown[0].checked = true;
}

// Settings ----------------------------------------------------------------------------------------

/** The options in force. */
function settings() {
  return {
    model: $("model").value,
    quality: document.querySelector("[name=quality]:checked").value,
    strength: Number($("strength").value),
    format: $("format").value,
  };
}

function showSettings() {
  const { model, strength } = settings();
  const found = models.find((one) => one.name === model);
  $("qualities").disabled = Boolean(model);
  $("strength-now").textContent = words.percent(strength);
  const rate = found?.seconds_per_megapixel;
  const time = rate ? `About ${words.duration(rate)} per megapixel here.` : "";
  $("model-about").textContent = found
    ? [words.sentence(found.about), time].filter(Boolean).join(" ")
    : "";
  showAgain();
}

function showAgain() {
  const stale = pictures.all.filter((one) => pictures.isStale(one));
  $("again").hidden = !stale.length;
  $("again-one").hidden = !stale.includes(selected);
  $("again-all").hidden = stale.length < 2 && stale.includes(selected);
}

// Pictures come in --------------------------------------------------------------------------------

function take(files) {
  if (!files.length) return;
  const isFirst = !pictures.all.length;
  const hadFocus =
    $("drop").contains(document.activeElement) || $("samples").contains(document.activeElement);
  $("alarm")?.remove();
  const added = pictures.add(files);
  for (const picture of added) $("tabs").append(tabOf(picture));
  select(added[0]);
  if (hadFocus) $("viewer").focus({ preventScroll: true });
  if (isFirst) scrollTo(0, 0);
  say(`${words.counted(added.length, "picture")} added`);
}

function takeDropped(transfer) {
  const files = [...transfer.files];
  if (files.length) take(files);
  else
    alarm({
      title: "That is not a file",
      detail: "Save the picture on this device first, then drop the file here.",
    });
}

function takePasted(event) {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  take(
    files.map((file) => {
      // Browsers call every picture from the clipboard image.png.
      if (file.name !== "image.png") return file;
      pasted += 1;
      return new File([file], pasted > 1 ? `pasted-${pasted}.png` : "pasted.png", {
        type: file.type,
      });
    }),
  );
}

async function takeSample(button) {
  const name = button.dataset.sample;
  button.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(new URL(`samples/${name}`, document.baseURI));
    if (!response.ok) throw new Error(String(response.status));
    take([new File([await response.blob()], name, { type: "image/jpeg" })]);
  } catch {
    alarm(words.problem({ kind: "unreachable" }));
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// One of them is looked at ------------------------------------------------------------------------

function select(picture) {
  selected = picture;
  const isEmpty = !picture;
  document.documentElement.classList.toggle("working", !isEmpty);
  for (const id of ["viewer", "strip"]) $(id).hidden = isEmpty;
  for (const id of ["drop", "samples"]) $(id).hidden = !isEmpty;
  // The heading stays for those who hear the page.
  $("intro").classList.toggle("hidden-text", !isEmpty);
  for (const one of pictures.all) showTab(one);
  if (picture) {
    showSelected();
    const tab = $(picture.id);
    $("strip").scrollTo({ left: tab.offsetLeft - ($("strip").clientWidth - tab.offsetWidth) / 2 });
  }
  showAgain();
}

/** Called whenever something about a picture changes. */
function changed(picture) {
  if (!$(picture.id)) return;
  showTab(picture);
  announce(picture);
  if (picture.state === "key") askForKey();
  if (picture === selected) showSelected();
  $("download-all").hidden = pictures.all.filter((one) => one.result).length < 2;
  showAgain();
}

function showSelected() {
  const { before, after, name, result } = selected;
  $("name").textContent = name;
  $("facts").textContent = factsOf(selected);
  viewer.show({ before, after, name });
  if (after && selected.revealed !== after.url) {
    selected.revealed = after.url;
    viewer.reveal();
  }
  const unseen = unseenText(selected);
  $("unseen").hidden = !unseen;
  $("unseen").textContent = unseen;
  $("zoom").hidden = !(before || after);
  showCard(selected);
  const notes = result ? [...result.notes, selected.unseen].filter(Boolean) : [];
  $("notes").hidden = !notes.length;
  $("notes").replaceChildren(
    ...notes.map((note) => element("li", { textContent: words.sentence(note) })),
  );
  showDownload(selected);
}

function showDownload(picture) {
  const { result } = picture;
  const link = $("download");
  link.hidden = !result;
  if (!result) return;
  if (link.blob !== result.blob) {
    if (link.blob) URL.revokeObjectURL(link.href);
    link.blob = result.blob;
    link.href = URL.createObjectURL(result.blob);
  }
  link.download = picture.resultName;
  link.setAttribute("aria-label", `Download ${picture.resultName}`);
}

function factsOf({ before, after, file, result }) {
  const view = before ?? after;
  return [
    view && `${view.width} × ${view.height}`,
    words.bytes(file.size),
    result?.model,
    result?.where,
    result?.seconds && words.duration(result.seconds),
  ]
    .filter(Boolean)
    .join(" · ");
}

function unseenText({ before, after, file, result, state }) {
  // Before it was tried, nobody knows.
  if (before || after || state === "waiting") return "";
  const name = words.formatName(words.typeOf(file));
  if (result)
    return `This browser cannot show ${name || "this format"}. The result is ready to download.`;
  if (state === "failed" || state === "cancelled") return "";
  return `This browser cannot show ${name || "this format"}. The result will be shown as a PNG.`;
}

/** The bar below the picture: how far it is, or what went wrong. */
function showCard(picture) {
  const { state, progress } = picture;
  $("card").hidden = state === "done";
  $("card").classList.toggle("failed", state === "failed");
  const { title, detail, share, again } = cardOf(picture);
  $("card-title").textContent = title;
  $("card-detail").textContent = detail;
  $("progress").hidden = !picture.isBusy || state === "key";
  if (share === null || share === undefined) $("progress").removeAttribute("value");
  else $("progress").value = share;
  swap({ cancel: picture.isBusy, retry: !picture.isBusy && Boolean(again) });
  $("stage").classList.toggle("busy", state === "running" && progress.state === "working");
}

function cardOf({ state, error, progress }) {
  if (state === "failed") return words.problem(error);
  if (state === "cancelled") return { title: "Cancelled", detail: "", again: true };
  return words.stage(state === "key" ? { state: "key" } : progress);
}

/** Show and hide buttons; focus moves from one that goes to one that stays. */
function swap(buttons) {
  const focused = document.activeElement;
  for (const [id, isShown] of Object.entries(buttons)) $(id).hidden = !isShown;
  if (!(focused.id in buttons) || !focused.hidden) return;
  const shown = Object.keys(buttons).find((id) => buttons[id]);
  $(shown ?? "stage").focus();
}

// The strip ---------------------------------------------------------------------------------------

function tabOf(picture) {
  const tab = element("button", { type: "button", className: "tab", id: picture.id });
  tab.setAttribute("role", "tab");
  tab.setAttribute("aria-controls", "viewer");
  tab.append(element("span", { className: "thumb" }), element("span", { className: "badge" }));
  tab.addEventListener("click", () => select(picture));
  return tab;
}

function showTab(picture) {
  const tab = $(picture.id);
  if (!tab) return;
  const isSelected = picture === selected;
  tab.setAttribute("aria-selected", String(isSelected));
  tab.tabIndex = isSelected ? 0 : -1;
  tab.dataset.state = picture.state;
  tab.setAttribute("aria-label", `${picture.name}, ${stateText(picture)}`);
  tab.title = picture.name;
  const thumb = tab.firstElementChild;
  if (picture.thumbnail && thumb.firstChild !== picture.thumbnail)
    thumb.replaceChildren(picture.thumbnail);
  else if (!picture.thumbnail) thumb.textContent = words.endingOf(picture.name);
  const { share } = picture.state === "running" ? words.stage(picture.progress) : {};
  tab.style.setProperty("--share", String(share ?? 0));
}

function stateText({ state, progress, error }) {
  if (state === "done") return "done";
  if (state === "failed") return `failed: ${words.problem(error).title}`;
  if (state === "cancelled") return "cancelled";
  return words.stage(progress).title.toLowerCase();
}

/** Arrow keys, Home and End go from tab to tab, Delete takes one away. */
function onTabKey(event) {
  const place = pictures.all.indexOf(selected);
  const last = pictures.all.length - 1;
  const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: last }[event.key];
  if (event.key === "Delete") remove(selected);
  else if (to === undefined) return;
  else {
    select(pictures.all[(to + last + 1) % (last + 1)]);
    $(selected.id).focus();
  }
  event.preventDefault();
}

function remove(picture) {
  const place = pictures.all.indexOf(picture);
  const hadFocus =
    $("viewer").contains(document.activeElement) || document.activeElement === $(picture.id);
  pictures.remove(picture);
  $(picture.id).remove();
  select(pictures.all[Math.min(place, pictures.all.length - 1)] ?? null);
  if (hadFocus) (selected ? $(selected.id) : $("image")).focus();
  $("download-all").hidden = pictures.all.filter((one) => one.result).length < 2;
  say(`${picture.name} removed`);
}

// Results go out ----------------------------------------------------------------------------------

async function downloadAll() {
  const done = pictures.all.filter((one) => one.result);
  const names = words.distinct(done.map((one) => one.resultName));
  const files = done.map((one, place) => ({ name: names[place], blob: one.result.blob }));
  const size = files.reduce((sum, { blob }) => sum + blob.size, 0);
  if (size >= MOST_BYTES / 2) for (const { name, blob } of files) save(name, blob);
  else save("derained.zip", await zip(files));
}

function save(name, blob) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  // The browser needs the address until it has begun to save.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Words -------------------------------------------------------------------------------------------

function say(text) {
  $("said").textContent = text;
}

/** Say to those who listen what others see. */
function announce(picture) {
  const { state, name, result, error } = picture;
  const isNew = picture.announced !== state;
  picture.announced = state;
  if (isNew && state === "done") say(`${name} is done, in ${words.duration(result.seconds)}`);
  if (isNew && state === "cancelled") say(`${name} is cancelled`);
  if (isNew && state === "failed") {
    const { title, detail } = words.problem(error);
    $("alarmed").textContent = `${name}: ${title}. ${detail}`;
  }
  if (picture === selected && state === "running" && Date.now() - lastSaid > SAY_EVERY_MS) {
    lastSaid = Date.now();
    const { title, detail } = words.stage(picture.progress);
    say([title, detail].filter(Boolean).join(": "));
  }
}

/** A problem with no picture of its own: shown at the top until a picture comes. */
function alarm({ title, detail }) {
  const box = $("alarm") ?? element("p", { id: "alarm", className: "alarm" });
  box.textContent = `${title}. ${detail}`;
  $("main").prepend(box);
  $("alarmed").textContent = box.textContent;
}

function askForKey() {
  pictures.lock();
  $("key-wrong").textContent = engine.hasKey
    ? "This key is not the one. Check it, then try again."
    : "";
  $("key").setAttribute("aria-invalid", String(engine.hasKey));
  if (!$("key-form").hidden) return;
  $("key-form").hidden = false;
  $("key").focus();
}

async function onKey(event) {
  event.preventDefault();
  engine.useKey($("key").value.trim());
  if (!(await learn())) return;
  $("key").value = "";
  (selected ? $("viewer") : $("image")).focus();
  pictures.unlock();
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

// Events ------------------------------------------------------------------------------------------

function listen() {
  $("form").addEventListener("submit", (event) => event.preventDefault());
  $("form").addEventListener("input", ({ target }) => target.type !== "file" && showSettings());
  for (const input of [$("image"), $("camera")]) {
    input.addEventListener("change", () => {
      take([...input.files]);
      // The same file may be chosen again.
      input.value = "";
    });
  }
  $("key-form").addEventListener("submit", onKey);
  $("tabs").addEventListener("keydown", onTabKey);
  for (const button of document.querySelectorAll("[data-sample]")) {
    button.addEventListener("click", () => takeSample(button));
  }
  const clicks = {
    add: () => $("image").click(),
    cancel: () => pictures.cancel(selected),
    retry: () => pictures.again(selected),
    remove: () => remove(selected),
    "again-one": () => pictures.again(selected),
    "again-all": () =>
      pictures.all.filter((one) => pictures.isStale(one)).forEach((one) => pictures.again(one)),
    "download-all": downloadAll,
    "zoom-in": () => viewer.zoomBy(1.5),
    "zoom-out": () => viewer.zoomBy(1 / 1.5),
    "zoom-fit": () => viewer.fit(),
    "zoom-full": () => viewer.zoomFull(),
  };
  for (const [id, action] of Object.entries(clicks)) $(id).addEventListener("click", action);
  listenToWindow();
}

function listenToWindow() {
  document.addEventListener("paste", takePasted);
  addEventListener("pagehide", () => pictures.cancelAll());
  let depth = 0;
  const drag = (by) => (event) => {
    if (!event.dataTransfer?.types.some((type) => ["Files", "text/uri-list"].includes(type)))
      return;
    event.preventDefault();
    depth = Math.max(depth + by, 0);
    document.documentElement.classList.toggle("dragging", depth > 0);
  };
  document.addEventListener("dragenter", drag(1));
  document.addEventListener("dragleave", drag(-1));
  document.addEventListener("dragover", drag(0));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    document.documentElement.classList.remove("dragging");
    takeDropped(event.dataTransfer);
  });
}
