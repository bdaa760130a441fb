/** `list` and `listPages`. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { expect } from "vitest"
import { type ListOptions, type ListPagesOptions, Storage } from "../../../src/aws/Storage.ts"
import { fresh, helloEtag, putText, type Subject, type Tests } from "./subject.ts"

const keysOf = (options: ListOptions) =>
  Effect.gen(function*() {
    const service = yield* Storage
    return Array.from(yield* Stream.runCollect(service.list(options)), ({ key }) => key)
  })

const pagesOf = (options: ListPagesOptions) =>
  Effect.gen(function*() {
    const service = yield* Storage
    return Array.from(
      yield* Stream.runCollect(service.listPages(options)),
      ({ objects, prefixes }) => ({ keys: objects.map(({ key }) => key), prefixes })
    )
  })

const putAll = (keys: ReadonlyArray<string>) =>
  Effect.forEach(keys, (key) => putText(key, "hello"), { concurrency: 4, discard: true })

const inOrder = (keys: ReadonlyArray<string>) =>
  keys.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))

export const listing = (it: Tests, { can }: Subject): void => {
  it.effect("lists nothing where there is nothing", () =>
    Effect.gen(function*() {
      const prefix = yield* fresh
      expect(yield* keysOf({ prefix })).toEqual([])
      const pages = yield* pagesOf({ prefix, delimiter: "/" })
      expect(pages.flatMap(({ keys, prefixes }) => [...keys, ...prefixes])).toEqual([])
    }))

  it.effect("lists what is stored, with size, ETag and time", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      yield* putAll([`${prefix}b`, `${prefix}a`, `${prefix.slice(0, -1)}-other`])
      const objects = Array.from(yield* Stream.runCollect(service.list({ prefix })))
      expect(objects).toMatchObject([
        { key: `${prefix}a`, size: 5, etag: helloEtag },
        { key: `${prefix}b`, size: 5, etag: helloEtag }
      ])
      expect(objects[0]?.lastModified).toBeInstanceOf(Date)
    }))

  if (!can.lists) return

  it.effect("lists in the order of UTF-8, whatever the size of the pages", () =>
    Effect.gen(function*() {
      const prefix = yield* fresh
      // In UTF-16, the emoji would come before the wide tilde.
      const names = ["😀", "\uff5e", "é", "z", "Z", "a", "a/b", "a b", "a+b", "a%b", "a-", "a.", "a&<b>\"'"]
      const keys = inOrder(names.map((name) => prefix + name))
      yield* putAll(keys)
      expect(yield* keysOf({ prefix })).toEqual(keys)
      for (let pageSize = 1; pageSize <= keys.length + 1; pageSize++) {
        const pages = yield* pagesOf({ prefix, pageSize })
        expect(pages.flatMap((page) => page.keys), `pages of ${pageSize}`).toEqual(keys)
        for (const page of pages) expect(page.keys.length).toBeLessThanOrEqual(pageSize)
      }
      for (const [index, startAfter] of keys.entries()) {
        expect(yield* keysOf({ prefix, startAfter }), startAfter).toEqual(keys.slice(index + 1))
      }
      expect(yield* keysOf({ prefix, startAfter: `${prefix}a0` })).toEqual(
        keys.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(`${prefix}a0`)) > 0)
      )
      expect(yield* keysOf({ prefix: `${prefix}a` })).toEqual(keys.filter((key) => key.startsWith(`${prefix}a`)))
      expect(yield* keysOf({ prefix: `${prefix}a&` })).toEqual([`${prefix}a&<b>"'`])
    }))

  it.effect("lists every object, also for options that it has got from listPages", () =>
    Effect.gen(function*() {
      const prefix = yield* fresh
      const keys = ["a", "b/1", "b/2"].map((name) => prefix + name)
      yield* putAll(keys)
      const options: ListPagesOptions = { prefix, delimiter: "/", pageSize: 2 }
      expect(yield* keysOf(options)).toEqual(keys)
    }))

  it.effect("rolls keys up at a delimiter; prefixes count towards a page", () =>
    Effect.gen(function*() {
      const prefix = yield* fresh
      const keys = ["a", "b/1", "b/2", "b/2/3", "c", "d/e/1", "d/", "é/1", "z"].map((name) => prefix + name)
      yield* putAll(keys)
      const objects = ["a", "c", "z"].map((name) => prefix + name)
      const prefixes = ["b/", "d/", "é/"].map((name) => prefix + name)
      for (let pageSize = 1; pageSize <= 7; pageSize++) {
        const pages = yield* pagesOf({ prefix, delimiter: "/", pageSize })
        expect(pages.flatMap((page) => page.keys), `pages of ${pageSize}`).toEqual(objects)
        expect(pages.flatMap((page) => page.prefixes), `pages of ${pageSize}`).toEqual(prefixes)
        for (const page of pages) expect(page.keys.length + page.prefixes.length).toBeLessThanOrEqual(pageSize)
      }
      expect(yield* pagesOf({ prefix: `${prefix}d/`, delimiter: "/" }))
        .toEqual([{ keys: [`${prefix}d/`], prefixes: [`${prefix}d/e/`] }])
      expect(yield* pagesOf({ prefix: prefix.slice(0, -1), delimiter: "/" })).toEqual([{
        keys: [],
        prefixes: [prefix]
      }])
    }))

  it.effect("lists while what was listed is deleted", () =>
    Effect.gen(function*() {
      const service = yield* Storage
      const prefix = yield* fresh
      const keys = ["a", "b", "c", "d", "e"].map((name) => prefix + name)
      yield* putAll(keys)
      const seen: Array<string> = []
      yield* Stream.runForEach(service.listPages({ prefix, pageSize: 2 }), ({ objects }) => {
        seen.push(...objects.map(({ key }) => key))
        return service.deleteMany(objects.map(({ key }) => key))
      })
      expect(seen).toEqual(keys)
      expect(yield* keysOf({ prefix })).toEqual([])
    }))
}
