// Write the licences of all packages in a bundle: node licences.mjs METAFILE > LICENSES.txt
import { existsSync, readFileSync } from "node:fs";

const { inputs } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const folders = new Set(Object.keys(inputs).flatMap((path) => path.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/) ?? []));
const byText = new Map();
for (const folder of [...folders].sort()) {
  const { name, version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = [`${folder}/LICENSE`, `${folder}/LICENSE.txt`, `${folder}/LICENSE.md`].find(existsSync);
  if (!file) throw new Error(`${name} has no licence file`);
  const text = readFileSync(file, "utf8").trim();
  byText.set(text, [...(byText.get(text) ?? []), `${name} ${version}`]);
}
console.log([...byText].map(([text, packages]) => `${packages.join(", ")}\n\n${text}`).join(`\n\n${"=".repeat(80)}\n\n`));
