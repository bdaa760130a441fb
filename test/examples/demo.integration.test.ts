/** The programs in `examples/`, run as a newcomer runs them. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { load } from "../../examples/demo/files.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const run = (program: string, ...args: ReadonlyArray<string>): Effect.Effect<Run> =>
  Effect.async((resume) => {
    const child = execFile(
      process.execPath,
      ["--import", "tsx", `examples/${program}.ts`, ...args],
      { cwd: root, encoding: "utf8" },
      (_, stdout, stderr) => resume(Effect.succeed({ code: child.exitCode ?? -1, stdout, stderr }))
    )
    return Effect.sync(() => child.kill())
  })

/** A folder with a file of each name. */
const folderWith = (files: Readonly<Record<string, string | Uint8Array>>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await mkdtemp(join(tmpdir(), "infrastructure-demo-"))
      for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
      return folder
    }),
    (folder) => Effect.promise(() => rm(folder, { recursive: true }))
  )

describe("demo", () => {
  it.effect("shows the samples and prints what happened", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* run("demo")
      expect(stderr).toBe("")
      expect(code).toBe(0)
      const [story = "", table = ""] = stdout.split("What happened\n")
      const samples = [["picture.jpg", "image"], ["chord.mp3", "audio"], ["colours.mp4", "video"], [
        "document.pdf",
        "attachment"
      ]] as const
      for (const [name, category] of samples) {
        expect(story).toContain(`✓ upload ${name}`)
        expect(story).toContain(`✓ read ${name}: the same, byte for byte`)
        expect(table).toMatch(
          new RegExp(`^upload ${name} .* \\d+ ms\\n +https://\\S+/7/assets/chat/42/\\S+_${category}\\.`, "m")
        )
        expect(table).toMatch(new RegExp(`^read ${name} +the same, byte for byte +\\d+ ms$`, "m"))
      }
      expect(table).toMatch(/^record the files +4 committed in Main +\d+ ms$/m)
      expect(table).toMatch(/^roll back +.*it is not there +\d+ ms$/m)
      expect(table).toMatch(/^consume jobs +4 received, decoded and deleted +\d+ ms$/m)
      expect(table).toMatch(/^all inside each other +main, garmin, blood, ufc answer/m)
      expect(table).toMatch(/^a wrong setup +ConfigurationError of Storage, \d settings to fix +\d+ ms$/m)
      expect(story).toContain("IMAGE_S3_BUCKET is required and not set\n      → set it in the environment")
      expect(table).toMatch(/^a file that is not there +ServiceError ObjectNotFound/m)
      expect(table).toMatch(/^a row that is there already +DatabaseError UniqueViolation/m)
      // No colours and no moving lines outside a terminal.
      expect(stdout).not.toMatch(/[\r\x1b]/)
    }))

  it.scoped("takes files of every kind, and uploads large ones in parts", () =>
    Effect.gen(function*() {
      const folder = yield* folderWith({ "größe 1.MP4": new Uint8Array(9 * 1024 * 1024).fill(7), "notes.txt": "hello" })
      const { code, stdout } = yield* run("demo", join(folder, "größe 1.MP4"), join(folder, "notes.txt"))
      expect(stdout).toContain("✓ upload größe 1.MP4: 9.0 MiB, video/mp4")
      expect(stdout).toContain("✓ read größe 1.MP4: the same, byte for byte")
      expect(stdout).toContain("✓ upload notes.txt: 5 B, text/plain")
      expect(code).toBe(0)
    }))

  it.effect("ends with one clear message if a file is missing, before anything is started", () =>
    Effect.gen(function*() {
      expect(yield* run("demo", "missing.png")).toEqual({
        code: 1,
        stdout: "",
        stderr: "\nThe demo failed: missing.png does not exist\n"
      })
    }))

  it.scoped("refuses files that it cannot show", () =>
    Effect.gen(function*() {
      const folder = yield* folderWith({ "empty.png": "", "plain": "text", "odd.qqq": "?", "fine.png": "?" })
      const refusals = [
        ["missing.png", "does not exist"],
        ["empty.png", "is empty"],
        ["plain", "has no extension, such as .png, that shows its type"],
        ["odd.qqq", "has the extension .qqq, which belongs to no known type"],
        [".", "is a directory; name the files in it"]
      ] as const
      for (const [name, why] of refusals) {
        const error = yield* Effect.flip(load([join(folder, "fine.png"), `${folder}/${name}`]))
        expect(error.message).toBe(`${folder}/${name} ${why}`)
      }
      expect(yield* load([join(folder, "fine.png")])).toMatchObject([{ name: "fine.png", upload: "uploadImage" }])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("explains its usage", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* run("demo", "--fast")
      expect(stderr).toContain("the option --fast is unknown")
      expect(stderr).toContain("Usage: npm run demo [-- file ...]")
      expect(code).toBe(2)
    }))
})

describe("first program", () => {
  it.effect("is the one in the README", () =>
    Effect.gen(function*() {
      const [readme, program] = yield* Effect.promise(() =>
        Promise.all(["README.md", "examples/first-program.ts"].map((file) => readFile(join(root, file), "utf8")))
      )
      expect(readme).toContain(`\`\`\`ts\n${program}\`\`\`\n`)
    }))

  it.effect("says which database server it has, and prints the URL of what it has stored", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* run("first-program")
      expect(stdout).toMatch(
        /^\S+ INFO \S+ The local databases are on (MySQL|MariaDB) \d+\.\d+\.\S+.*\nhttps:\/\/\S+\/7\/assets\/chat\/\S+_image\.png\n$/
      )
      expect(code).toBe(0)
    }))
})
