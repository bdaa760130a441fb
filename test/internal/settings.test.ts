import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { checked, load, text } from "../../src/internal/settings.ts"

const problemsOf = (config: Config.Config<unknown>, values: Readonly<Record<string, string>>) =>
  load("Test", config).pipe(
    Effect.flip,
    Effect.map(({ problems }) => problems),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))
  )

describe("the problems of a config", () => {
  it.effect("keep detail and hint apart, for every setting, in the order of reading", () =>
    Effect.gen(function*() {
      const refused = checked("SIZE", Config.string("SIZE"), () =>
        Either.left([{ detail: "must be small", hint: "make it smaller" }, { detail: "must be blue" }]))
      expect(yield* problemsOf(Config.all([text("NAME"), text("PLACE"), refused]), { PLACE: " ", SIZE: "9" })).toEqual([
        { setting: "NAME", detail: "is required and not set", hint: "set it in the environment" },
        { setting: "PLACE", detail: "is set but empty", hint: "give it a value" },
        { setting: "SIZE", detail: "must be small", hint: "make it smaller" },
        { setting: "SIZE", detail: "must be blue" }
      ])
    }))

  it.effect("keep the messages of a caller's own config whole, however many lines and signs they have", () =>
    Effect.gen(function*() {
      const [ofSchema] = yield* problemsOf(
        Schema.Config("MODE", Schema.Union(Schema.Literal("a"), Schema.Literal("b"))),
        { MODE: "c" }
      )
      expect(ofSchema).not.toHaveProperty("hint")
      expect(ofSchema!.detail.split("\n").length).toBeGreaterThan(1)
      for (const message of ["one\u001ftwo", "\u001fone", "\u001fone\u001ftwo\u001fthree", "\u001f"]) {
        const own = Config.mapOrFail(Config.string("OWN"), () => Either.left(ConfigError.InvalidData([], message)))
        expect(yield* problemsOf(own, { OWN: "x" })).toEqual([{ setting: "OWN", detail: message }])
      }
    }))
})
