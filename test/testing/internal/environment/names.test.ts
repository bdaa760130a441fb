import { expect, it } from "vitest"
import * as Names from "../../../../src/testing/internal/environment/names.ts"

it("are read back, whatever tag and worker are called", () => {
  const name = Names.make("Ünïcode `Db` with a very long name indeed", "worker-12", 1_700_000_000, "0123456789ab")
  expect(name).toBe("betterai_test_ncodedbwithavery_work_6553f100_0123456789ab")
  expect(Names.read(name)).toEqual({ lock: name, madeAt: 1_700_000_000 })
  expect(Names.read(`${name}${Names.ROWS}`)).toEqual({ lock: name, madeAt: 1_700_000_000 })
  expect(`${name}${Names.ROWS}`.length).toBeLessThanOrEqual(64)
  expect(Names.read(Names.make("", "", 0, "0123456789ab"))?.madeAt).toBe(0)
})

it.each([
  "main",
  "betterai_test",
  "betterai_test_maindb",
  "betterai_test_maindb_1_6553f100_0123456789a",
  "betterai_test_maindb_1_6553f100_0123456789ab_other",
  "betterai_test_MainDb_1_6553f100_0123456789ab",
  " betterai_test_maindb_1_6553f100_0123456789ab",
  "betterai_test_maindb_1_6553f100_0123456789ab\n",
  "my_betterai_test_maindb_1_6553f100_0123456789ab"
])("%j is somebody else's", (name) => {
  expect(Names.read(name)).toBeUndefined()
})

it("templates are named by their content", () => {
  expect(Names.template([1, "a"])).not.toBe(Names.template([1, "b"]))
  expect(Names.isTemplate(Names.template([1, "a"]))).toBe(true)
  expect(Names.isTemplate("betterai_template_main")).toBe(false)
})
