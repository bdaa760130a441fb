/**
 * The last step of `npm run build`: the JavaScript of `dist`, in a few files instead of one for each source. Node takes
 * longer to find, read and link eighty small modules than to compile what is in them. No package is bundled, and each
 * source is in one file only, so that a class is the same class from whichever entry point.
 */
import { build } from "esbuild"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const manifest: { readonly engines: { readonly node: string }; readonly exports: Readonly<Record<string, unknown>> } =
  JSON.parse(readFileSync(`${root}/package.json`, "utf8"))

const entryPoints = Object.values(manifest.exports).flatMap((target) =>
  typeof target === "object" && target !== null && "default" in target && typeof target.default === "string"
    ? [target.default.replace("./dist/", "src/").replace(/\.js$/, ".ts")]
    : []
)

await build({
  absWorkingDir: root,
  entryPoints,
  outbase: "src",
  outdir: "dist",
  bundle: true,
  splitting: true,
  chunkNames: "internal/[name]-[hash]",
  packages: "external",
  platform: "node",
  format: "esm",
  target: `node${manifest.engines.node.replace(/\D/g, "")}`,
  sourcemap: "linked",
  logLevel: "warning"
})
