/** What the build puts together: the page, the notices, the models. */

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { chosen, filesFor, isAsExpected, MODELS, probePicture } from "../src/models.js";
import { isOutOfMemory, Problem } from "../src/problem.js";
import { noticesOf, packageOf, textOf } from "../tools/licences.js";
import { pageOf, POLICY } from "../tools/page.js";

test("the page is that of the server, and asks no host for anything", () => {
  const page = pageOf();
  expect(page).toContain('id="strength"');
  expect(page).toContain(POLICY);
  expect(page).not.toMatch(/https?:\/\//);
  expect(page).not.toContain("v1/derain");
  expect(POLICY).not.toMatch(/\*|https?:|unsafe-inline|'unsafe-eval'/);
});

test("every bundled package has a licence text, or the build fails", () => {
  const notices = noticesOf(["onnxruntime-web", "fast-png"]);
  for (const title of [
    /^derain, .*Apache-2\.0/m,
    /^onnxruntime-web .*MIT/m,
    /^onnxruntime-common/m,
  ])
    expect(notices).toMatch(title);
  const folder = mkdtempSync(join(tmpdir(), "derain-licence-"));
  writeFileSync(join(folder, "package.json"), "{}");
  expect(() => textOf("something", folder)).toThrow(/something has no licence text; expected/);
  writeFileSync(join(folder, "LICENCE.md"), "Take it.\n");
  expect(textOf("something", folder)).toBe("Take it.");
});

test("modules are known by their packages", () => {
  expect(packageOf("/a/node_modules/@b/c/node_modules/@d/e/f.js")).toBe("@d/e");
  expect(packageOf("/a/node_modules/fflate/esm/browser.js")).toBe("fflate");
  expect(packageOf("/a/src/worker.ts")).toBeNull();
});

test("models are chosen by name, by quality, or by neither", () => {
  expect(chosen("", "fast").name).toBe("petrichor-live");
  expect(chosen("", "").name).toBe("petrichor");
  expect(chosen("petrichor", "fast").name).toBe("petrichor");
  expect(() => chosen("nledn", "")).toThrow(/no model nledn; expected petrichor or/);
  expect(filesFor("wasm").join()).toMatch(/threaded-\w+\.js.*\.wasm.*petrichor-\w+\.onnx/);
});

test("a graphics processor that computes something else is noticed", () => {
  const model = MODELS[0]!;
  const expected = Uint8Array.from(atob(model.probe), (letter) => letter.charCodeAt(0));
  const { data, width } = probePicture();
  expect(isAsExpected(model, data)).toBe(false);
  const right = data.map((_, at) => {
    const [channel, pixel] = [Math.floor(at / width ** 2), at % width ** 2];
    return expected[3 * pixel + channel]! / 255;
  });
  expect(isAsExpected(model, right)).toBe(true);
  right[500] = NaN;
  expect(isAsExpected(model, right)).toBe(false);
});

test("a lack of memory is known by its many words", () => {
  for (const message of ["std::bad_alloc", "Array buffer allocation failed", "Aborted(OOM)"])
    expect(isOutOfMemory(new RangeError(message))).toBe(true);
  expect(isOutOfMemory(new Problem("memory"))).toBe(true);
  expect(isOutOfMemory(new Problem("picture", "out of memory"))).toBe(false);
  expect(isOutOfMemory(new TypeError("x is not a function"))).toBe(false);
});
