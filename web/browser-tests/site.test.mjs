/** The page without a server, as visitors use it. Needs `npm run build`, Chromium, and derain. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  checkScreens,
  download,
  forget,
  host,
  makePictures,
  openBrowser,
  openPage,
  PHONE,
  python,
  ready,
  shoot,
  tab,
  waitFor,
} from "./support.mjs";

let folder, site, browser;

before(async () => {
  folder = makePictures();
  [site, browser] = await Promise.all([host(), openBrowser()]);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  if (folder) forget(folder);
});

const picture = (name) => join(folder, name);
const choose = (page, ...names) => page.setInputFiles("#image", names.map(picture));
const text = (page, id) => page.locator(`#${id}`).textContent();
const quick = async (page) => {
  await page.waitForFunction(() => document.querySelectorAll("#model option").length > 2);
  await page.selectOption("#model", "petrichor-live");
};

/** A test with the page open and its files kept; afterwards nothing may have gone elsewhere. */
function onPage(name, options, body) {
  test(name, async () => {
    const { page, context, close } = await openPage(browser, site.base, options);
    if (options.serviceWorkers !== "block") await ready(page);
    await body(page, context);
    await close();
  });
}

/** Derain a file that is chosen, and return what is saved. */
async function derained(page, name, place = 1) {
  await choose(page, name);
  await waitFor(page, "done", place);
  await tab(page, place - 1).click();
  return download(page);
}

onPage("a picture comes back as the library makes it", {}, async (page) => {
  await choose(page, "photo.png");
  await waitFor(page, "done");
  assert.match(
    await text(page, "facts"),
    /^481 × 321 · .* · petrichor · in this browser, WebAssembly, \d threads? · [\d.]+ s$/,
  );
  const saved = await download(page);
  assert.equal(saved.name, "photo_derained.png");
  const { most, mean } = python("compare", saved.path, picture("expected/photo.png"));
  assert.ok(most <= 2 && mean <= 0.1, `${most} levels apart, ${mean} in the mean`);
});

const DECODED = [
  ["photo.jpg", 2],
  ["fine.jpg", 2],
  ["turned3.jpg", 2],
  ["turned6.jpg", 2],
  ["turned6.png", 0],
  ["turned6.webp", 2],
  ["alpha.png", 0],
  ["alpha.webp", 0],
  ["grey.png", 0],
  ["grey.jpg", 2],
  ["palette.png", 0],
  ["bits.png", 0],
  ["deep.png", 0],
];

onPage("pictures are read as Pillow reads them", {}, async (page) => {
  await page.locator("#strength").fill("0");
  await page.selectOption("#format", "image/png");
  for (const [place, [name, allowed]] of DECODED.entries()) {
    const saved = await derained(page, name, place + 1);
    const { most, mean, ...rest } = python("compare", saved.path, picture(name));
    assert.ok(most <= allowed, `${name}: ${most} levels apart ${JSON.stringify(rest)}`);
    if (allowed === 2) assert.ok(mean < 0.1, `${name}: ${mean} levels apart in the mean`);
    const [found, before] = [python("describe", saved.path), python("describe", picture(name))];
    assert.equal(found.alpha, before.alpha, `alpha of ${name}`);
    assert.ok(found.isResult, name);
    assert.ok([undefined, null, 1].includes(found.orientation), `${name}: ${found.orientation}`);
  }
});

onPage("formats and metadata are kept", {}, async (page) => {
  await quick(page);
  const one = await derained(page, "turned6.jpg", 1);
  assert.equal(one.name, "turned6_derained.jpg");
  const jpeg = python("describe", one.path);
  assert.deepEqual(
    [jpeg.format, jpeg.size, jpeg.make, jpeg.orientation, jpeg.xmpOrientation, jpeg.isResult],
    ["JPEG", [108, 160], "Camera", 1, "1", true],
  );
  assert.equal(jpeg.profile, python("describe", picture("turned6.jpg")).profile);

  const webp = python("describe", (await derained(page, "turned6.webp", 2)).path);
  assert.deepEqual(
    [webp.format, webp.size, webp.make, webp.orientation, webp.profile, webp.isResult],
    ["WEBP", [108, 160], "Camera", 1, jpeg.profile, true],
  );

  const png = python("describe", (await derained(page, "turned6.png", 3)).path);
  assert.deepEqual(
    [png.format, png.size, png.make, png.orientation, png.profile, png.isResult],
    ["PNG", [108, 160], "Camera", 1, jpeg.profile, true],
  );
  assert.equal(python("describe", (await derained(page, "grey.png", 4)).path).mode, "L");
  await page.selectOption("#format", "image/jpeg");
  await derained(page, "deep.png", 5);
  assert.match(await text(page, "notes"), /Not kept in JPEG: 16 bits a channel\./);
  await choose(page, "alpha.png");
  await waitFor(page, "failed");
  assert.match(await text(page, "card-detail"), /transparency, which a JPEG cannot hold/);
});

onPage("16 bits, transparency and grey go through the network", {}, async (page) => {
  for (const [place, [name, allowed]] of [
    ["deep.png", 2 * 257],
    ["alpha.png", 2],
    ["grey.png", 2],
  ].entries()) {
    const saved = await derained(page, name, place + 1);
    const { most } = python("compare", saved.path, picture(`expected/${name}`));
    assert.ok(most <= allowed, `${name}: ${most} levels apart`);
    const [found, before] = [python("describe", saved.path), python("describe", picture(name))];
    assert.deepEqual([found.alpha, found.deep], [before.alpha, before.deep]);
  }
});

test("after one visit it works without the network", async () => {
  const mine = await host();
  const { page, context, close } = await openPage(browser, mine.base);
  await ready(page);
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  assert.match(await text(page, "runs"), /WebAssembly, \d+ threads? · Works offline$/);
  await context.setOffline(true);
  await mine.stop();
  await page.reload();
  await ready(page);
  await quick(page);
  await page.getByRole("button", { name: "Cup of coffee in rain" }).click();
  await waitFor(page, "done");
  assert.match((await download(page)).name, /^coffee_derained\.jpg$/);
  await page.setInputFiles("#image", picture("photo.png"));
  await waitFor(page, "done", 2);
  await close();
});

onPage("without threads it works, and says so", { serviceWorkers: "block" }, async (page) => {
  await page.waitForFunction(() => document.getElementById("runs").textContent);
  assert.equal(await page.evaluate(() => crossOriginIsolated), false);
  assert.match(await text(page, "runs"), /WebAssembly, 1 thread; reload the page for more/);
  await quick(page);
  await choose(page, "photo.png");
  await waitFor(page, "done");
  assert.match(
    await text(page, "facts"),
    /petrichor-live · in this browser, WebAssembly, 1 thread ·/,
  );
});

test("a host that sends the headers needs no service worker for threads", async () => {
  const isolated = await host({ isIsolated: true, folder: "/" });
  const { page, close } = await openPage(browser, isolated.base, { serviceWorkers: "block" });
  await page.waitForFunction(() => document.getElementById("runs").textContent);
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  await close();
  await isolated.stop();
});

test("a graphics processor that fails gives way to WebAssembly", async () => {
  // There is none here, so that what was asked for cannot work.
  const { page, close } = await openPage(browser, site.base, { search: "?engine=webgpu" });
  await ready(page);
  assert.match(await text(page, "runs"), /WebGPU/);
  await quick(page);
  await choose(page, "photo.jpg");
  await waitFor(page, "done");
  assert.match(await text(page, "facts"), /petrichor-live · in this browser, WebAssembly,/);
  assert.match(await text(page, "runs"), /WebAssembly/);
  await close();
});

test("WebGPU computes the same", async () => {
  const emulated = await openBrowser(
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
  );
  const { page, close } = await openPage(emulated, site.base, { search: "?engine=webgpu" });
  await ready(page);
  await quick(page);
  await choose(page, "turned3.jpg");
  await waitFor(page, "done", 1, 180_000);
  assert.match(await text(page, "facts"), /petrichor-live · in this browser, WebGPU ·/);
  const graphics = await download(page);
  await page.goto(`${site.base}?engine=wasm`);
  await quick(page);
  await choose(page, "turned3.jpg");
  await waitFor(page, "done");
  const { most } = python("compare", graphics.path, (await download(page)).path);
  assert.ok(most <= 8, `${most} levels apart, as JPEG`);
  await close();
  await emulated.close();
});

const BROKEN = [
  ["notes.jpg", "This file cannot be read as a picture", /^It is no JPEG, PNG or WebP; open it in/],
  ["cut.png", "This file cannot be read as a picture", /^The file is damaged; open it in/],
  [
    "empty.jpg",
    "This file cannot be read as a picture",
    /^The file is empty: choose another one\.$/,
  ],
  ["moving.webp", "This file cannot be read as a picture", /^A WebP animation, which is a clip/],
  [
    "huge.png",
    "This picture is too large",
    /^1600 megapixels; this browser takes at most \d+ megapix/,
  ],
];

onPage("what cannot be derained is refused in plain words", {}, async (page) => {
  for (const [place, [name, title, detail]] of BROKEN.entries()) {
    await choose(page, name);
    await waitFor(page, "failed", place + 1);
    assert.equal(await text(page, "card-title"), title, name);
    assert.match(await text(page, "card-detail"), detail);
  }
  await shoot(page, "broken");
  await quick(page);
  await choose(page, "photo.jpg");
  await waitFor(page, "done");
});

/** Let WebAssembly's memory grow to some megabytes and no further, in the worker. */
const limitMemory = (page, megabytes) =>
  page.route("**/assets/worker-*.js", async (route) => {
    const response = await route.fetch();
    const limit = `{
      const { grow } = WebAssembly.Memory.prototype;
      WebAssembly.Memory.prototype.grow = function (pages) {
        if (this.buffer.byteLength + pages * 65536 > ${megabytes} * 2 ** 20)
          throw new RangeError("WebAssembly.Memory.grow(): failed to allocate");
        return grow.call(this, pages);
      };
    }`;
    await route.fulfill({ response, body: `${limit}\n${await response.text()}` });
  });

onPage("too little memory leads to smaller tiles", { serviceWorkers: "block" }, async (page) => {
  await limitMemory(page, 330);
  await quick(page);
  const tiles = [];
  await page.exposeFunction("seen", (share) => tiles.push(share));
  await page.evaluate(() => {
    const bar = document.getElementById("progress");
    new MutationObserver(() => seen(bar.value)).observe(bar, { attributes: true });
  });
  await choose(page, "large.jpg");
  await waitFor(page, "done", 1, 180_000);
  const least = Math.min(...tiles.filter((share) => share > 0));
  assert.ok(least < 0.4, `the first tile was ${least} of the picture`);
});

onPage("no memory at all is said", { serviceWorkers: "block" }, async (page) => {
  await limitMemory(page, 40);
  await choose(page, "photo.png");
  await waitFor(page, "failed");
  assert.equal(await text(page, "card-title"), "This picture needs more memory than there is");
  assert.match(await text(page, "card-detail"), /^Close other tabs, or make it smaller/);
});

onPage("work is cancelled at once, and done again", {}, async (page, context) => {
  // A tile of the larger model takes longer than this waits.
  await choose(page, "large.jpg");
  await page.waitForFunction(() =>
    /Taking the rain out/.test(document.getElementById("card-title").textContent),
  );
  const session = await context.newCDPSession(page);
  const workers = async () => {
    const { targetInfos } = await session.send("Target.getTargets", {
      filter: [{ type: "worker" }],
    });
    return targetInfos.length;
  };
  assert.ok((await workers()) > 0);
  await page.click("#cancel");
  await waitFor(page, "cancelled");
  const begin = Date.now();
  while ((await workers()) > 0) {
    assert.ok(Date.now() - begin < 8000, "the worker still works");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await choose(page, "photo.jpg");
  await waitFor(page, "done");
});

onPage("two tabs take turns, and one that is closed gives way", {}, async (page, context) => {
  await quick(page);
  await choose(page, "large.jpg");
  await page.waitForFunction(() => document.getElementById("progress").offsetParent);
  const other = await context.newPage();
  await other.goto(site.base);
  await quick(other);
  await choose(other, "photo.jpg");
  await other.waitForFunction(
    () => document.getElementById("card-title").textContent === "Waiting for another tab",
  );
  await shoot(other, "another-tab");
  // Closed in the middle: its work ends with it.
  await page.close();
  await waitFor(other, "done");
  assert.match(await text(other, "facts"), /petrichor-live/);
});

onPage("a page that is left in the middle begins anew", {}, async (page) => {
  await quick(page);
  await choose(page, "large.jpg");
  await page.waitForFunction(() => document.getElementById("progress").offsetParent);
  await page.reload();
  await quick(page);
  assert.equal(await page.getByRole("tab").count(), 0);
  await choose(page, "photo.jpg");
  await waitFor(page, "done");
});

test("a model that cannot be fetched is said, and fetched again", async () => {
  const { page, close } = await openPage(browser, site.base, { serviceWorkers: "block" });
  await page.route("**/models/*", (route) => route.abort("internetdisconnected"));
  await choose(page, "photo.jpg");
  await waitFor(page, "failed");
  assert.equal(await text(page, "card-title"), "The model could not be loaded");
  assert.match(await text(page, "card-detail"), /^Connect to the internet, then try again; after/);
  await page.unroute("**/models/*");
  await page.click("#retry");
  await waitFor(page, "done");
  await close();
});

onPage("several pictures are done in order, and saved together", {}, async (page) => {
  await quick(page);
  await choose(page, "turned6.jpg", "grey.png", "alpha.png");
  await waitFor(page, "done", 3);
  await page.locator("#divider").focus();
  await page.keyboard.press("Home");
  assert.equal(await page.locator("#divider").getAttribute("aria-valuetext"), "After only");
  const [saved] = await Promise.all([page.waitForEvent("download"), page.click("#download-all")]);
  assert.equal(saved.suggestedFilename(), "derained.zip");
});

test("it can be installed", async () => {
  const { page, context, close } = await openPage(browser, site.base);
  await ready(page);
  const session = await context.newCDPSession(page);
  const { errors } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  // A window without history cannot install anything; nothing else may stand in the way.
  const found = installabilityErrors.map(({ errorId }) => errorId);
  assert.deepEqual(
    found.filter((id) => id !== "in-incognito"),
    [],
  );
  await close();
});

onPage("nothing bars anyone, on any screen", PHONE, async (page) => {
  await quick(page);
  await checkScreens(page, "start");
  const chooser = page.waitForEvent("filechooser");
  await page.getByText("Take a photograph").click();
  await (await chooser).setFiles(picture("photo.jpg"));
  assert.equal(await page.locator("#camera").getAttribute("capture"), "environment");
  await waitFor(page, "done");
  await checkScreens(page, "done");
  await page.selectOption("#model", "petrichor");
  await choose(page, "large.jpg");
  await page.waitForFunction(() => document.getElementById("progress").value > 0);
  await checkScreens(page, "working");
  await page.click("#cancel");
});
