/** The status page of Health, as people see it. */
import * as DateTime from "effect/DateTime"
import type { ServerResponse } from "node:http"
import { describe, expect, it, onTestFinished } from "vitest"
import type { Status } from "../../src/internal/health/model.ts"
import { isCut, paleTexts, screenshot, sizes, useBrowser } from "../support/browser/browser.ts"
import { busy, type StatusServer, statusServer } from "../support/browser/statusServer.ts"

const browser = useBrowser()

/** Stopped when the pages of the test are closed. */
const serve = async (first: Status | ((response: ServerResponse) => void)): Promise<StatusServer> => {
  const server = await statusServer(first)
  onTestFinished(server.stop)
  return server
}

/** The same, that many seconds later. */
const later = (status: Status, seconds: number): Status => ({
  ...status,
  time: DateTime.add(status.time, { seconds })
})

/** What a browser itself says about an answer that it did not like. */
const failedRequests = /Failed to load resource/

describe("status page", () => {
  it("shows the checks, pools, consumers, the outbox and recent errors", async () => {
    const page = await browser.open((await serve(busy)).url)
    await page.getByRole("status").getByText("Warn: MainDb").waitFor()
    expect(await page.getByRole("status").innerText()).toContain("Ready: takes traffic")
    expect(await page.getByRole("heading", { level: 2 }).allInnerTexts()).toEqual(
      ["Process", "Checks", "Databases", "Queues", "Outbox", "Recent errors"]
    )
    const checks = page.getByRole("table", { name: "Checks" })
    // What needs somebody comes first.
    expect(await checks.getByRole("rowheader").allInnerTexts()).toEqual(
      ["MainDb database", "eventLoop process", "Storage storage"]
    )
    expect(await checks.getByRole("row").nth(1).innerText()).toContain("6 borrowers wait for a connection")
    const pools = page.getByRole("table", { name: "Pools of the databases" })
    expect(await pools.getByRole("row", { name: "MainDb" }).innerText()).toContain(
      "13 active, 4 idle, 1 dialling, at most 20"
    )
    expect(await pools.getByRole("row", { name: "BloodDb" }).innerText()).toContain("no pool of ours")
    const consumers = page.getByRole("table", { name: "Consumers of the queues" })
    expect(await consumers.getByRole("row", { name: "letters" }).innerText()).toMatch(
      /draining[^]*1[^]*902[^]*14[^]*43 s ago[^]*SQS Throttled: SQS receiveMessage/
    )
    expect(await consumers.getByRole("row", { name: "EmailQueue" }).innerText()).toContain("no consumer here")
    const outbox = page.getByRole("region", { name: "Outbox" })
    expect(await outbox.innerText()).toMatch(/128[^]*1 min 35 s[^]*PayloadTooLarge: 7f0c2c59/)
    expect(await page.getByRole("table", { name: "Recent errors" }).getByRole("row").nth(1).innerText()).toContain(
      "raise MAIN_DB_POOL_SIZE"
    )
    expect(await page.getByRole("region", { name: "Process" }).innerText()).toMatch(/1 d 2 h[^]*22\.21\.1[^]*4711/)
    expect(await page.title()).toMatch(/^Warn: MainDb · 127/)
  })

  it("shows a process that has nothing, and one that ends", async () => {
    const server = await serve({
      ...busy,
      databases: [],
      queues: [],
      outbox: null,
      recentErrors: [],
      health: { status: "pass", checks: [] }
    })
    const page = await browser.open(server.url)
    await page.getByRole("status").getByText(/Pass$/).waitFor()
    expect(await page.getByRole("main").innerText()).toMatch(/No database[^]*No queue[^]*None is[^]*None since/)
    server.answer = {
      ...busy,
      process: { ...busy.process, draining: true },
      ready: {
        status: "fail",
        checks: [{ ...busy.health.checks[0]!, name: "draining", status: "fail", detail: "shutdown has begun" }]
      }
    }
    await page.getByText("Shutting down: takes no new traffic").waitFor()
  })

  it("takes everything that it is told as text", async () => {
    const evil = `<img src=x onerror="hacked = 1"><script>hacked = 1</script></style>"'\${hacked = 1}`
    const everywhere = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(everywhere)
        : value !== null && typeof value === "object" && !DateTime.isDateTime(value)
        ? Object.fromEntries(
          Object.entries(value).map(([name, it]) => [
            name,
            ["status", "component", "state"].includes(name) && typeof it === "string" ? it : everywhere(it)
          ])
        )
        : typeof value === "string"
        ? evil
        : value
    const server = await serve(everywhere(busy) as Status)
    const page = await browser.open(server.url)
    await page.getByText(evil).first().waitFor()
    expect(await page.getByText(evil).count()).toBeGreaterThan(15)
    expect(await page.evaluate("[document.querySelectorAll('img, script').length, typeof hacked]")).toEqual(
      [1, "undefined"]
    )
  })

  it("runs no other script than its own", async () => {
    const page = await browser.open((await serve(busy)).url, { allowed: /Content Security Policy/ })
    await page.evaluate("document.body.append(Object.assign(document.createElement('script'), { text: 'hacked = 1' }))")
    expect(await page.evaluate("typeof hacked")).toBe("undefined")
    expect(await page.evaluate("fetch('https://example.com').then(() => 'sent', () => 'refused')")).toBe("refused")
  })

  it("is live, and disturbs neither a reader nor a screen reader", async () => {
    const server = await serve(busy)
    const page = await browser.open(server.url)
    await page.getByRole("status").getByText("Warn: MainDb").waitFor()
    await page.evaluate(`{
      changes = 0
      new MutationObserver(() => changes += 1).observe(
        document.querySelector("[role=status]"), { childList: true, characterData: true, subtree: true })
      const cell = document.querySelector("#errors .message")
      getSelection().selectAllChildren(cell)
      kept = cell
    }`)
    const [consumer, other] = busy.queues[0]!.consumers
    const next = later(busy, 2)
    server.answer = {
      ...next,
      queues: [{ name: "Queue", consumers: [{ ...consumer!, succeeded: 48_313 }, other!] }]
    }
    const row = page.getByRole("row", { name: "summaries" })
    await row.getByText("48,313").waitFor()
    // 100 in 2 seconds.
    await row.getByText("50", { exact: true }).waitFor()
    expect(await page.evaluate("[changes, kept.isConnected, String(getSelection())]")).toEqual(
      [0, true, busy.recentErrors[0]!.message]
    )
    const first = next.health.checks[0]!
    server.answer = { ...next, health: { status: "fail", checks: [{ ...first, status: "fail", detail: "it lags" }] } }
    await page.getByRole("status").getByText("Fail: eventLoop").waitFor()
    expect(await page.evaluate("changes")).toBeGreaterThan(0)
  })

  it("says that it is not live while the process is away, and goes on when it is back", async () => {
    const server = await serve(busy)
    const page = await browser.open(server.url, { allowed: failedRequests })
    await page.getByRole("status").getByText("Warn: MainDb").waitFor()
    await server.stop()
    await page.getByRole("status").getByText("the process cannot be reached").waitFor()
    expect(await page.locator("#freshness").innerText()).toMatch(/As of .*, \d s ago\. Next attempt in \d s\./)
    // What was known last can still be read.
    expect(await page.getByRole("row", { name: "summaries" }).isVisible()).toBe(true)
    await screenshot(page, "status-stale")
    await server.start()
    await page.getByRole("status").getByText("Warn: MainDb").waitFor()
    expect(await page.locator("#freshness").innerText()).not.toContain("ago")
  })

  it("says what is wrong with an answer", async () => {
    const server = await serve((response) => response.writeHead(500).end())
    const page = await browser.open(server.url, { allowed: failedRequests })
    const status = page.getByRole("status")
    await status.getByText("Nothing known").waitFor()
    await status.getByText("status.json was answered with 500").waitFor()
    server.answer = (response) => response.writeHead(200).end("<!doctype html>")
    await status.getByText("no JSON").waitFor()
    server.answer = (response) => response.writeHead(200).end("{}")
    // Each failure doubles the wait; being looked at again does not wait.
    await page.evaluate("dispatchEvent(new Event('online'))")
    await status.getByText("not what this page expects").waitFor()
    server.answer = (response) => response.writeHead(200, { "content-length": 100 }).write("{")
    await page.clock.install()
    await page.evaluate("dispatchEvent(new Event('online'))")
    await page.clock.runFor(5_000)
    await status.getByText("no answer within 5 s").waitFor()
  })

  it("asks less and less often while nothing answers, and not at all while nobody looks", async () => {
    const server = await serve((response) => response.writeHead(500).end())
    const page = await browser.open("about:blank", { allowed: failedRequests })
    await page.clock.install()
    await page.goto(server.url)
    const asked = async (seconds: number) => {
      const before = server.requests()
      for (let second = 0; second < seconds; second += 1) {
        await page.clock.runFor(1_000)
        // The answer arrives in real time.
        await page.waitForLoadState("networkidle")
        await page.evaluate("fetch('status').then((it) => it.text())")
      }
      return server.requests() - before
    }
    await page.getByText("answered with 500").waitFor()
    expect(await asked(13)).toBeLessThanOrEqual(3)
    await page.evaluate(`{
      Object.defineProperty(document, "hidden", { value: true, configurable: true })
      document.dispatchEvent(new Event("visibilitychange"))
    }`)
    expect(await asked(60)).toBe(0)
    const before = server.requests()
    server.answer = busy
    await page.evaluate(`{
      Object.defineProperty(document, "hidden", { value: false })
      document.dispatchEvent(new Event("visibilitychange"))
    }`)
    await page.getByText("Warn: MainDb").waitFor()
    expect(server.requests()).toBe(before + 1)
  })

  it("is paused and resumed by the keyboard", async () => {
    const server = await serve(busy)
    const page = await browser.open(server.url)
    await page.getByText("Warn: MainDb").waitFor()
    await page.keyboard.press("Tab")
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to the checks")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    const button = page.getByRole("button", { name: "Pause", pressed: true })
    await button.waitFor()
    const before = server.requests()
    await page.getByText("Paused.").waitFor()
    server.answer = { ...busy, health: { status: "pass", checks: [] } }
    await page.waitForTimeout(2_500)
    expect(server.requests()).toBe(before)
    await page.keyboard.press("Enter")
    await page.getByText(/Pass$/).waitFor()
  })

  it.each(["light", "dark"] as const)("is read on a phone and on a desk, %s", async (colorScheme) => {
    const page = await browser.open((await serve(busy)).url, { colorScheme })
    await page.getByText("Warn: MainDb").waitFor()
    for (const [name, size] of Object.entries(sizes)) {
      await page.setViewportSize(size)
      await screenshot(page, `status-${name}-${colorScheme}`)
      expect([name, await isCut(page), await paleTexts(page)]).toEqual([name, false, []])
      // A table stays one for screen readers, however it is laid out.
      expect(await page.getByRole("table", { name: "Checks" }).getByRole("rowheader").count()).toBe(3)
    }
  })

  it("moves nothing for those who do not want that", async () => {
    const page = await browser.open((await serve(busy)).url, { reducedMotion: "reduce" })
    await page.locator(".bar rect").first().waitFor()
    expect(await page.evaluate("getComputedStyle(document.querySelector('.bar rect')).transitionDuration")).toBe("0s")
  })
})
