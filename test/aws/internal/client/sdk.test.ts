import { describe, expect, it } from "vitest"
import { loadedBy } from "../../../support/aws/imports.ts"

describe("importing", () => {
  it.each(["aws/Storage.ts", "aws/Queue.ts", "aws/Clients.ts", "aws/StorageKey.ts"])(
    "%s loads neither the SDK nor anything of SQL",
    async (path) => {
      const loaded = await loadedBy(path)
      expect(loaded.some((url) => url.includes(`/src/${path}`))).toBe(true)
      expect(loaded.some((url) => url.includes("/effect/"))).toBe(true)
      expect(loaded.filter((url) => /\/src\/db\/|@effect\/sql|mysql|@aws-sdk|@smithy|fauxqs/.test(url))).toEqual([])
    }
  )
})
