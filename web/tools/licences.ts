/** Licence notices of what is bundled; a package without a licence text fails the build. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const WEB = join(import.meta.dirname, "..");
const MODULES = join(WEB, "node_modules");
/** Texts of packages that publish none on the registry, from their repositories. */
const KEPT = join(WEB, "licences");
/** Put into its own bundle by onnxruntime-web, which the build therefore does not see. */
const INSIDE: Record<string, string[]> = {
  "onnxruntime-web": ["onnxruntime-common"],
};

interface Package {
  name: string;
  version: string;
  license?: string;
}

/** The package that a module belongs to; null for derain's own. */
export function packageOf(id: string): string | null {
  const found = /.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/.exec(id.replace(/^\0/, ""));
  return found ? found[1]!.replace("\\", "/") : null;
}

/** The licence text of a package. */
export function textOf(name: string, folder = join(MODULES, name)): string {
  const files = existsSync(folder) ? readdirSync(folder) : [];
  const own = files.filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file)).sort();
  if (own.length)
    return own.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
  const kept = join(KEPT, `${name.replace("/", "-")}.txt`);
  // What is compiled into it has notices of its own.
  const within = kept.replace(/\.txt$/, ".third-party.txt");
  const texts = [kept, within].filter((path) => existsSync(path));
  if (existsSync(kept)) return texts.map((path) => readFileSync(path, "utf8").trim()).join("\n\n");
  throw new Error(`${name} has no licence text; expected one in its package, or in web/licences`);
}

/** The notices of packages, derain's own first. */
export function noticesOf(names: Iterable<string>): string {
  const all = new Set<string>();
  for (const name of names) for (const one of [name, ...(INSIDE[name] ?? [])]) all.add(one);
  const parts = [...all].sort().map((name) => {
    const found = JSON.parse(readFileSync(join(MODULES, name, "package.json"), "utf8")) as Package;
    if (!found.license)
      throw new Error(`${name} names no licence; expected one in its package.json`);
    return [`${name} ${found.version} (${found.license})`, textOf(name)];
  });
  const own = readFileSync(join(WEB, "..", "LICENSE"), "utf8").trim();
  const first = ["derain, its page and its models (Apache-2.0)", own];
  const samples = readFileSync(
    join(WEB, "..", "derain", "serve", "page", "samples", "README.md"),
    "utf8",
  );
  const last = ["Sample pictures", samples.trim()];
  const rule = "=".repeat(80);
  return [first, ...parts, last]
    .map(([title, text]) => `${rule}\n${title}\n${rule}\n\n${text}\n`)
    .join("\n");
}
