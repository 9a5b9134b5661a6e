/** The page of `derain serve`, as visitors use it. Run by run.sh. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  answerPosts,
  checkAccess,
  checkScreens,
  difference,
  download,
  forget,
  makePictures,
  openBrowser,
  openPage,
  PHONE,
  python,
  serve,
  shoot,
  tab,
  waitFor,
} from "./support.mjs";

let folder, server, browser;

before(async () => {
  folder = makePictures();
  [server, browser] = await Promise.all([serve(), openBrowser()]);
});

after(async () => {
  await browser?.close();
  const status = await server?.stop();
  if (folder) forget(folder);
  if (server) assert.equal(status, 0, "exit status of the server");
});

const picture = (name) => join(folder, name);
const expected = (name) => readFileSync(join(folder, "expected", name));
const choose = (page, ...names) => page.setInputFiles("#image", names.map(picture));
const shareOf = async (page) =>
  Number(await page.locator("#divider").getAttribute("aria-valuenow"));

/** A test with the page open; afterwards nothing may have gone elsewhere or broken. */
function onPage(name, options, body) {
  test(name, async () => {
    const { page, context, close } = await openPage(browser, server.base, options);
    await body(page, context);
    await close();
  });
}

onPage("a picture that is chosen comes back as the library makes it", {}, async (page) => {
  await page.waitForFunction(() => document.querySelectorAll("#model option").length > 1);
  await choose(page, "rocket.jpg");
  await waitFor(page, "done");
  assert.match(await page.locator("#said").textContent(), /^rocket\.jpg is done, in \d/);
  assert.match(await page.locator("#facts").textContent(), /640 × 427 · .*petrichor/);
  assert.equal(await page.locator("#card").isVisible(), false);
  const saved = await download(page, "#download");
  assert.equal(saved.name, "rocket_derained.jpg");
  assert.deepEqual(saved.bytes, expected("rocket.jpg"));
});

onPage("names and formats are kept", {}, async (page) => {
  await choose(page, "Straße im Regen.PNG");
  await waitFor(page, "done");
  const saved = await download(page, "#download");
  assert.match(saved.name, /^Straße im Regen_derained\.png$/i);
  assert.deepEqual(saved.bytes, expected("Straße im Regen.PNG"));
});

onPage("the divider moves by mouse and by keys, and shows before and after", {}, async (page) => {
  await choose(page, "rocket.jpg");
  await waitFor(page, "done");
  const divider = page.locator("#divider");
  await page.waitForFunction(
    () => document.getElementById("divider").getAttribute("aria-valuenow") === "50",
  );

  const grip = await page.locator(".grip").boundingBox();
  await page.mouse.move(grip.x + grip.width / 2, grip.y + grip.height / 2);
  await page.mouse.down();
  await page.mouse.move(grip.x + grip.width / 2 + 120, grip.y, { steps: 4 });
  await page.mouse.up();
  const moved = (await page.locator(".grip").boundingBox()).x - grip.x;
  assert.ok(Math.abs(moved - 120) < 2, `moved by ${moved} pixels`);
  assert.ok((await shareOf(page)) > 60);

  await divider.focus();
  await page.keyboard.press("Home");
  assert.equal(await divider.getAttribute("aria-valuetext"), "After only");
  const clean = await page.locator("#stage").screenshot();
  await page.keyboard.press("End");
  assert.equal(await divider.getAttribute("aria-valuetext"), "Before only");
  const rainy = await page.locator("#stage").screenshot();
  await page.keyboard.press("ArrowLeft");
  assert.equal(await shareOf(page), 98);
  await page.keyboard.press("Home");
  for (const _ of Array(5)) await page.keyboard.press("PageUp");
  assert.equal(
    await divider.getAttribute("aria-valuetext"),
    "Before on the left 50%, after on the right 50%",
  );
  const both = await page.locator("#stage").screenshot();
  assert.ok((await difference(page, clean, rainy, [0.25, 0.45])) > 3);
  // Labels and handle lie over parts of the picture, so that nothing is exactly equal.
  assert.ok((await difference(page, both, rainy, [0.25, 0.45])) < 0.01);
  assert.ok((await difference(page, both, clean, [0.55, 0.75])) < 0.01);
});

onPage("the picture is zoomed and moved by wheel, keys, buttons and mouse", {}, async (page) => {
  await choose(page, "rocket.jpg");
  await waitFor(page, "done");
  const zoom = async () => parseInt(await page.locator("#zoom-now").textContent(), 10);
  const corner = async () => page.locator("#after").boundingBox();
  const fit = await zoom();
  const box = await page.locator("#stage").boundingBox();
  await page.mouse.move(box.x + 10, box.y + 10);
  await page.mouse.wheel(0, -400);
  await page.waitForFunction(
    (fit) => parseInt(document.getElementById("zoom-now").textContent, 10) > fit,
    fit,
  );
  await page.click("#zoom-fit");
  assert.equal(await zoom(), fit);
  await page.click("#zoom-full");
  assert.equal(await zoom(), 100);
  await page.click("#zoom-in");
  await page.click("#zoom-in");
  assert.equal(await zoom(), 225);

  const first = await corner();
  await page.mouse.move(box.x + 600, box.y + 200);
  await page.mouse.down();
  await page.mouse.move(box.x + 500, box.y + 150, { steps: 3 });
  await page.mouse.up();
  const dragged = await corner();
  assert.deepEqual([Math.round(dragged.x - first.x), Math.round(dragged.y - first.y)], [-100, -50]);
  assert.equal(await shareOf(page), 50);
  await page.locator("#stage").focus();
  await page.keyboard.press("ArrowLeft");
  assert.equal(Math.round((await corner()).x - dragged.x), 60);
  await page.keyboard.press("1");
  assert.equal(await zoom(), 100);
  await page.keyboard.press("+");
  assert.equal(await zoom(), 150);
  await page.keyboard.press("-");
  assert.equal(await zoom(), 100);
  await page.keyboard.press("0");
  assert.equal(await zoom(), fit);
});

onPage("fingers move the divider and pinch", PHONE, async (page, context) => {
  await choose(page, "rocket.jpg");
  await waitFor(page, "done");
  const touch = await context.newCDPSession(page);
  const send = (type, ...points) =>
    touch.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: points.map(([x, y], id) => ({ x, y, id })),
    });
  const { x, y, width } = await page.locator("#stage").boundingBox();
  await send("touchStart", [x + width / 2, y + 60]);
  for (const step of [20, 50, 90]) await send("touchMove", [x + width / 2 + step, y + 60]);
  await send("touchEnd");
  assert.ok((await shareOf(page)) > 65);

  const zoom = async () => parseInt(await page.locator("#zoom-now").textContent(), 10);
  const fit = await zoom();
  await send("touchStart", [x + 120, y + 100], [x + 200, y + 100]);
  for (const step of [10, 30, 60])
    await send("touchMove", [x + 120 - step, y + 100], [x + 200 + step, y + 100]);
  await send("touchEnd");
  const pinched = await zoom();
  assert.ok(pinched > 2 * fit, `${fit}% to ${pinched}%`);
  assert.equal(await page.evaluate(() => visualViewport.scale), 1);
});

onPage("several pictures make a strip, and are downloaded together", {}, async (page) => {
  await choose(page, "rocket.jpg", "coffee.jpg");
  await choose(page, "rocket.jpg");
  await waitFor(page, "done", 3);
  await tab(page, 0).click();
  assert.equal(await page.getByRole("tabpanel").getAttribute("aria-labelledby"), "name");
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator("#name").textContent(), "coffee.jpg");
  assert.equal(
    await page.evaluate(() => document.activeElement.getAttribute("aria-label")),
    "coffee.jpg, done",
  );
  await page.keyboard.press("End");
  const { name, path } = await download(page, "#download-all");
  assert.equal(name, "derained.zip");
  const listed = python(
    `
import sys, zipfile
from pathlib import Path
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
folder = Path(sys.argv[2])
assert archive.read("rocket_derained.jpg") == (folder / "rocket.jpg").read_bytes()
assert archive.read("coffee_derained.jpg") == (folder / "coffee.jpg").read_bytes()
print(sorted(archive.namelist()))`,
    path,
    join(folder, "expected"),
  );
  assert.equal(
    listed.trim(),
    "['coffee_derained.jpg', 'rocket_derained-2.jpg', 'rocket_derained.jpg']",
  );
  await page.keyboard.press("Tab");
  await tab(page, 2).focus();
  await page.keyboard.press("Delete");
  assert.equal(await page.getByRole("tab").count(), 2);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("role")), "tab");
});

onPage("pictures are pasted, dropped, and taken from the samples", {}, async (page, context) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.bringToFront();
  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(64, 48);
    canvas.getContext("2d").fillRect(0, 0, 64, 48);
    await navigator.clipboard.write([new ClipboardItem({ "image/png": canvas.convertToBlob() })]);
  });
  await page.locator("body").press("Control+V");
  await waitFor(page, "done");
  assert.equal((await download(page, "#download")).name, "pasted_derained.png");

  const bytes = readFileSync(picture("coffee.jpg")).toString("base64");
  await page.evaluate((bytes) => {
    const dataTransfer = new DataTransfer();
    const content = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
    dataTransfer.items.add(new File([content], "dropped.jpg", { type: "image/jpeg" }));
    const drag = (type) =>
      document.body.dispatchEvent(
        new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }),
      );
    drag("dragenter");
    if (!document.documentElement.matches(".dragging"))
      throw new Error("the page does not show that it takes files");
    drag("drop");
  }, bytes);
  await waitFor(page, "done", 2);
  assert.deepEqual((await download(page, "#download")).bytes, expected("coffee.jpg"));
  assert.equal(await page.locator("html.dragging").count(), 0);

  for (const _ of Array(2)) await page.click("#remove");
  assert.equal(await page.locator("#drop").isVisible(), true);
  await page.getByRole("button", { name: "Cup of coffee in rain" }).click();
  await waitFor(page, "done");
  assert.deepEqual((await download(page, "#download")).bytes, expected("coffee.jpg"));
});

onPage("the keyboard is enough", {}, async (page) => {
  // Asked for before keys are pressed: the browser needs a moment to hand choosers over.
  const choosing = page.waitForEvent("filechooser");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  for (const _ of Array(3)) await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "image");
  await page.keyboard.press("Enter");
  await (await choosing).setFiles(picture("rocket.jpg"));
  // The field is gone, and focus is at the picture.
  await page.waitForFunction(() => document.activeElement.id === "viewer");
  await waitFor(page, "done");
  const reached = [];
  for (const _ of Array(11)) {
    await page.keyboard.press("Tab");
    reached.push(
      await page.evaluate(() => document.activeElement.id || document.activeElement.name),
    );
  }
  const order = [
    "stage",
    "divider",
    "zoom-out",
    "zoom-in",
    "zoom-fit",
    "zoom-full",
    "download",
    "remove",
  ];
  assert.deepEqual(reached.slice(0, 8), order);
  assert.deepEqual(reached.slice(9), ["add", "quality"]);
});

onPage("work is cancelled, and done again", {}, async (page) => {
  const removed = page.waitForRequest((request) => request.method() === "DELETE");
  await page.getByRole("radio", { name: "Best" }).check({ force: true });
  await choose(page, "large.jpg");
  await page.waitForFunction(() =>
    /Taking the rain out/.test(document.getElementById("card-title").textContent),
  );
  await page.waitForFunction(() => document.getElementById("progress").value > 0);
  await shoot(page, "working");
  await page.click("#cancel");
  await waitFor(page, "cancelled");
  const job = (await removed).url();
  assert.match(job, /\/v1\/jobs\/[0-9a-f-]{36}$/);
  assert.equal(await page.evaluate(() => document.activeElement.id), "retry");
  await page.click("#remove");
  // The server ends with the tile that it was at.
  await choose(page, "rocket.jpg");
  await page.getByRole("radio", { name: "Balanced" }).check({ force: true });
  await waitFor(page, "done");
});

onPage("sending and waiting are shown", {}, async (page, context) => {
  const network = await context.newCDPSession(page);
  // Slow both ways: while the result comes, the page still asks how far its job is.
  const bytes = 100_000;
  const slow = { offline: false, latency: 0, downloadThroughput: bytes, uploadThroughput: bytes };
  await page.route("**/v1/jobs/*", (route) =>
    route.fulfill({ json: { state: "queued", place: 2, done: 0, total: 0 } }),
  );
  const said = [];
  await page.exposeFunction("said", (title, detail) => said.push(`${title}: ${detail}`));
  await page.evaluate(() => {
    const text = (id) => document.getElementById(id).textContent;
    const tell = () => said(text("card-title"), text("card-detail"));
    const options = { childList: true, characterData: true, subtree: true };
    new MutationObserver(tell).observe(document.getElementById("card"), options);
  });
  await network.send("Network.emulateNetworkConditions", slow);
  await choose(page, "coffee.jpg");
  await waitFor(page, "done");
  assert.ok(
    said.some((words) => /^Sending the picture: [1-9]\d?%$/.test(words)),
    said.join("; "),
  );
  assert.ok(said.includes("Waiting for the server: 2 pictures before this one"), said.join("; "));
});

onPage("changed settings are offered for what is done", {}, async (page) => {
  await choose(page, "rocket.jpg");
  await waitFor(page, "done");
  assert.equal(await page.locator("#again").isVisible(), false);
  await page.locator("#strength").fill("0");
  await page.selectOption("#format", "image/png");
  await page.selectOption("#model", "petrichor-live");
  assert.match(await page.locator("#strength-now").textContent(), /^0%$/);
  await page.click("#again-one");
  await waitFor(page, "done");
  await page.waitForFunction(() =>
    /petrichor-live/.test(document.getElementById("facts").textContent),
  );
  const { name, path } = await download(page, "#download");
  assert.equal(name, "rocket_derained.png");
  python(
    `
import sys
from derain.images import read
assert (read(sys.argv[1]).pixels == read(sys.argv[2]).pixels).all()`,
    path,
    picture("rocket.jpg"),
  );
});

onPage("a picture that the browser cannot show is shown as a PNG", {}, async (page) => {
  await choose(page, "deep.tif");
  await waitFor(page, "done");
  assert.match(await page.locator("#notes").textContent(), /This browser cannot show TIFF/);
  assert.equal(await page.locator("#divider").isVisible(), true);
  const sizes = await page.evaluate(() =>
    ["before", "after"].map((id) => document.getElementById(id).naturalWidth),
  );
  assert.deepEqual(sizes, [320, 320]);
  await shoot(page, "tiff");
  const saved = await download(page, "#download");
  assert.match(saved.name, /^deep_derained\.tiff?$/);
  assert.deepEqual(saved.bytes, expected("deep.tif"));
});

for (const name of ["rotated.jpg", "rotated.png"]) {
  onPage(`before and after line up: ${name}`, {}, async (page) => {
    await page.locator("#strength").fill("0");
    await choose(page, name);
    await waitFor(page, "done");
    assert.match(await page.locator("#facts").textContent(), /^214 × 320/);
    await page.locator("#divider").focus();
    await page.keyboard.press("Home");
    const clean = await page.locator("#stage").screenshot();
    await page.keyboard.press("End");
    const rainy = await page.locator("#stage").screenshot();
    assert.ok((await difference(page, clean, rainy, [0.42, 0.5])) < 3);
  });
}

onPage("a busy server is asked again when it says so", {}, async (page) => {
  await answerPosts(page, { status: 429, headers: { "Retry-After": "2" }, detail: "full" });
  const begin = Date.now();
  await choose(page, "rocket.jpg");
  await page.waitForFunction(
    () => document.getElementById("card-title").textContent === "The server is busy",
  );
  assert.match(await page.locator("#card-detail").textContent(), /^Trying again in [12] s$/);
  await shoot(page, "busy");
  await waitFor(page, "done");
  assert.ok(Date.now() - begin > 1900);
});

const FAILURES = [
  [
    { status: 413, detail: "80 MB; expected at most 64 MB; make it smaller" },
    "This picture is too large",
    "80 MB; expected at most 64 MB; make it smaller.",
    false,
  ],
  [
    { status: 415, detail: "" },
    "This file cannot be read as a picture",
    "Open it in another program and save it as JPEG or PNG, then add it again.",
    false,
  ],
  [
    { status: 422, detail: "strength: 9; expected 0 to 1.5" },
    "The server does not take these settings",
    "Strength: 9; expected 0 to 1.5.",
    true,
  ],
  [{ status: 503, detail: "" }, "The server is shutting down", "Try again when it is back.", true],
  [
    { status: 504, detail: "" },
    "This took too long",
    "Choose Fast, or make the picture smaller, then try again.",
    true,
  ],
  [
    { status: 500, detail: "" },
    "The server could not do this picture",
    "Try again. If it fails once more, its log says why.",
    true,
  ],
  [
    "gone",
    "The server does not answer",
    "Check that it is still running and that you are connected, then try again.",
    true,
  ],
];

onPage("errors are said in plain words, with what to do", {}, async (page) => {
  for (const [place, [answer, title, detail, again]] of FAILURES.entries()) {
    await page.unroute("**/v1/derain");
    await answerPosts(page, answer);
    await choose(page, "rocket.jpg");
    await waitFor(page, "failed", place + 1);
    assert.equal(await page.locator("#card-title").textContent(), title);
    assert.equal(await page.locator("#card-detail").textContent(), detail);
    assert.equal(await page.locator("#retry").isVisible(), again, title);
    assert.equal(await page.locator("#alarmed").textContent(), `rocket.jpg: ${title}. ${detail}`);
  }
  await page.click("#retry");
  await waitFor(page, "done");
});

onPage("what is no picture is refused by the server in its words", {}, async (page) => {
  await choose(page, "notes.txt");
  await waitFor(page, "failed");
  assert.equal(
    await page.locator("#card-title").textContent(),
    "This file cannot be read as a picture",
  );
  assert.match(await page.locator("#card-detail").textContent(), /expected/);
  await choose(page, "empty.jpg");
  await waitFor(page, "failed", 2);
  assert.equal(
    await page.locator("#card-detail").textContent(),
    "The file is empty: choose another one.",
  );
});

onPage("what is too large is not sent", {}, async (page) => {
  let posts = 0;
  page.on("request", (request) => (posts += request.method() === "POST" ? 1 : 0));
  await page.route("**/v1/models", async (route) => {
    const response = await route.fetch();
    const offered = await response.json();
    await route.fulfill({
      response,
      json: { ...offered, limits: { bytes: 200_000, pixels: 250_000, queue: 1 } },
    });
  });
  await page.reload();
  await page.waitForFunction(() => document.getElementById("limits").textContent);
  assert.equal(await page.locator("#limits").textContent(), ", up to 200 KB and 0.3 megapixels");
  await choose(page, "rocket.jpg", "large.jpg");
  await waitFor(page, "failed", 2);
  assert.match(
    await page.locator("#card-detail").textContent(),
    /^0\.3 megapixels; this server takes at most/,
  );
  await tab(page, 1).click();
  assert.match(
    await page.locator("#card-detail").textContent(),
    /; this server takes at most 200 KB\./,
  );
  assert.equal(posts, 0);
});

test("a key is asked for where the server wants one", async () => {
  const locked = await serve({ DERAIN_API_KEY: "open sesame" }, "-m", "petrichor-live");
  const { page, close } = await openPage(browser, locked.base);
  await page.locator("#key-form").waitFor();
  await checkAccess(page, "with the key's field");
  await shoot(page, "key");
  let posts = 0;
  page.on("request", (request) => (posts += request.method() === "POST" ? 1 : 0));
  await choose(page, "rocket.jpg");
  await page.fill("#key", "wrong");
  await page.click("#key-form button");
  await page.waitForFunction(() =>
    /not the one/.test(document.getElementById("key-wrong").textContent),
  );
  assert.equal(posts, 0);
  await page.fill("#key", "open sesame");
  await page.keyboard.press("Enter");
  await waitFor(page, "done");
  assert.equal(await page.locator("#key-form").isVisible(), false);
  // It is kept for this tab.
  await page.reload();
  await choose(page, "rocket.jpg");
  await waitFor(page, "done");
  await close();
  await locked.stop();
});

test("without JavaScript the form is posted, and the answer is the picture", async () => {
  const { page, close } = await openPage(browser, server.base, { javaScriptEnabled: false });
  await shoot(page, "plain-form");
  assert.equal(await page.locator("#model").isVisible(), false);
  await choose(page, "rocket.jpg");
  const [response] = await Promise.all([
    page.waitForResponse((one) => one.url().endsWith("/v1/derain")),
    page.getByRole("button", { name: "Derain" }).click(),
  ]);
  assert.equal(response.status(), 200);
  assert.equal(response.headers()["content-type"], "image/jpeg");
  assert.deepEqual(await response.body(), expected("rocket.jpg"));
  await close();
});

onPage("nothing bars anyone, on any screen", PHONE, async (page) => {
  await page.waitForFunction(() => document.querySelectorAll("#model option").length > 1);
  await checkScreens(page, "start");
  await choose(page, "notes.txt", "coffee.jpg", "rocket.jpg");
  await waitFor(page, "done", 2);
  await checkScreens(page, "failed");
  await tab(page, 2).click();
  await page.locator("#strength").fill("0.8");
  await checkScreens(page, "done");
});
