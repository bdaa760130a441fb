/** The chat of examples, end to end: started as a user starts it, and used in a browser. */
import { createHash, randomBytes, randomUUID } from "node:crypto"
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { isCut, paleTexts, screenshot, sizes, useBrowser } from "../support/browser/browser.ts"
import { type Chat, startChat } from "../support/browser/chat.ts"

const browser = useBrowser()

let chat: Chat
beforeAll(async () => {
  chat = await startChat()
}, 100_000)
afterAll(() => chat?.interrupt(), 40_000)

const failedRequests = /Failed to load resource/

const messages = (page: Page) => page.getByRole("log", { name: "Messages" }).getByRole("listitem")
const reply = (page: Page) => messages(page).filter({ has: page.getByText("Worker", { exact: true }) })

const open = async (allowed?: RegExp) => {
  const page = await browser.open(chat.url, allowed === undefined ? {} : { allowed })
  await page.getByText("Live", { exact: true }).waitFor()
  return page
}

const say = async (page: Page, text: string) => {
  await page.getByLabel("Message", { exact: true }).fill(text)
  await page.keyboard.press("Enter")
}

const choose = (page: Page, name: string, buffer: Buffer) =>
  page.getByLabel("File, 20 MiB at most").setInputFiles({ name, mimeType: "application/octet-stream", buffer })

/** From now on the page sends as slowly as that. */
const throttle = async (page: Page, bytesPerSecond: number) => {
  const devtools = await page.context().newCDPSession(page)
  await devtools.send("Network.enable")
  await devtools.send("Network.emulateNetworkConditions", {
    ...{ offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytesPerSecond }
  })
}

const send = (draft: object, headers: Record<string, string> = {}) =>
  fetch(`${chat.url}api/messages`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(draft)
  })

const json = async <A>(answer: Response): Promise<A> => await answer.json() as A

const stored = async () => json<ReadonlyArray<{ readonly text: string }>>(await fetch(`${chat.url}api/messages`))

describe("chat", () => {
  it("answers a message out of all databases, on every page that is open", async () => {
    const [page, other] = [await open(), await open()]
    await say(page, "My last run, my ferritin, and Nunes?")
    for (const each of [page, other]) {
      await messages(each).getByText("My last run, my ferritin, and Nunes?").waitFor()
      expect(await reply(each).last().innerText()).toMatch(
        /15\.25 km[^]*ferritin: 87\.00 µg\/l[^]*Amanda Nunes: 23 wins/
      )
      expect(await each.getByText("The worker is at it").count()).toBe(0)
    }
    expect(await page.getByLabel("Message", { exact: true }).inputValue()).toBe("")
  })

  it("shows how far a file is, and what the worker found in it", async () => {
    const page = await open()
    const file = randomBytes(3 * 1024 ** 2)
    await throttle(page, 2 * 1024 ** 2)
    await page.evaluate(`{
      seen = []
      new MutationObserver(() => seen.push(document.getElementById("progress").value)).observe(
        document.getElementById("progress"), { attributes: true })
    }`)
    await choose(page, "Röntgen <b>7.bin", file)
    await page.getByRole("button", { name: "Send" }).click()
    await page.getByText(/\d+ % of 3\.0 MiB/).waitFor()
    await screenshot(page, "chat-upload")
    const sha256 = createHash("sha256").update(file).digest("hex")
    await reply(page).getByText(`Röntgen <b>7.bin: ${file.length} bytes, SHA-256 ${sha256}`).waitFor()
    const seen = await page.evaluate<ReadonlyArray<number>>("seen")
    const moving = seen.filter((value) => value > 0 && value < 1)
    expect(moving.length).toBeGreaterThan(2)
    expect(moving).toEqual(moving.toSorted((a, b) => a - b))
    expect(await page.getByRole("progressbar").isVisible()).toBe(false)

    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: "Röntgen" }).click()
    ])
    expect((await readFile(await download.path())).equals(file)).toBe(true)
  })

  it("takes what it is told as text", async () => {
    const page = await open()
    const evil = "<img src=x onerror=\"hacked = 1\"><script>hacked = 1</script>"
    await say(page, evil)
    await messages(page).getByText(evil).waitFor()
    await choose(page, "<script>hacked = 1<!--.html", Buffer.from(evil))
    await page.getByRole("button", { name: "Send" }).click()
    await reply(page).getByText("hacked = 1<!--.html: ").waitFor()
    expect(await page.evaluate("[document.querySelectorAll('img, script').length, typeof hacked]")).toEqual(
      [1, "undefined"]
    )
    // It is not shown as a page, by no browser.
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: "hacked" }).click()
    ])
    expect(download.suggestedFilename()).toMatch(/\.html$/)
  })

  it("sends a message once, however often it is clicked and however it arrives", async () => {
    const page = await open()
    const text = `once ${randomUUID()}`
    await page.getByLabel("Message", { exact: true }).fill(text)
    await page.getByRole("button", { name: "Send" }).dblclick()
    await reply(page).getByText(`${text.split(/[ -]/).length} words`).last().waitFor()
    const id = randomUUID()
    const twice = `twice ${id}`
    const answers = await Promise.all(Array.from({ length: 5 }, () => send({ id, text: twice })))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409])
    const texts = (await stored()).map((message) => message.text)
    expect([texts.filter((it) => it === text).length, texts.filter((it) => it === twice).length]).toEqual([1, 1])
  })

  it("refuses what is too large, and says so", async () => {
    const page = await open()
    const folder = await mkdtemp(join(tmpdir(), "chat-"))
    onTestFinished(() => rm(folder, { recursive: true }))
    const large = join(folder, "large.bin")
    await writeFile(large, "")
    await truncate(large, 20 * 1024 ** 2 + 1)
    await page.getByLabel("File, 20 MiB at most").setInputFiles(large)
    await page.getByRole("button", { name: "Send" }).click()
    await page.getByRole("alert").getByText("at most 20.0 MiB are taken").waitFor()
    // So does the server, whoever asks.
    const form = new FormData()
    form.append("id", randomUUID())
    form.append("file", new Blob([new Uint8Array(21 * 1024 ** 2)]), "large.bin")
    const answer = await fetch(`${chat.url}api/attachments`, { method: "POST", body: form })
    expect([answer.status, await json(answer)]).toEqual([413, expect.objectContaining({ reason: "FileTooLarge" })])
    for (
      const draft of [{ id: "1", text: "x" }, { id: randomUUID(), text: " " }, {
        id: randomUUID(),
        text: "x".repeat(4_001)
      }, { id: randomUUID(), text: "half a character: \ud83d" }]
    ) {
      expect((await send(draft)).status).toBe(400)
    }
    expect((await send({ id: randomUUID(), text: "x".repeat(100_000) })).status).toBe(413)
    expect((await send({ id: randomUUID(), text: "x" }, { "sec-fetch-site": "cross-site" })).status).toBe(403)
    for (const id of ["999999", "1.5", "NaN", "Infinity", "x"]) {
      expect([id, (await fetch(`${chat.url}api/messages/${id}/file`)).status]).toEqual([id, 404])
    }
    expect((await stored()).some(({ text }) => text === "x")).toBe(false)
  })

  it("takes a file without a name", async () => {
    const id = randomUUID()
    const body = ["id\"\r\n\r\n" + id, "file\"; filename=\"..\"\r\n\r\nabc"].map((part) =>
      `--form\r\nContent-Disposition: form-data; name="${part}\r\n`
    ).join("")
    const answer = await fetch(`${chat.url}api/attachments`, {
      method: "POST",
      headers: { "content-type": "multipart/form-data; boundary=form" },
      body: `${body}--form--\r\n`
    })
    expect(answer.status).toBe(201)
  })

  it("an upload that is cancelled leaves nothing, and can be sent again", async () => {
    const page = await open(failedRequests)
    const before = (await stored()).length
    await throttle(page, 256 * 1024)
    await page.getByLabel("Message", { exact: true }).fill("with a file")
    await choose(page, "scan.bin", randomBytes(1024 ** 2))
    await page.getByRole("button", { name: "Send" }).click()
    await page.getByText(/\d+ % of 1\.0 MiB/).waitFor()
    await page.getByRole("button", { name: "Cancel" }).click()
    await page.getByRole("alert").getByText("Cancelled.").waitFor()
    expect((await stored()).length).toBe(before)
    await throttle(page, -1)
    await page.getByRole("button", { name: "Send" }).click()
    await reply(page).getByText("scan.bin: 1048576 bytes").waitFor()
    expect((await stored()).length).toBe(before + 2)
  })

  it("is well, as the status page of the internal port says", async () => {
    const page = await browser.open(chat.status)
    await page.getByRole("status").getByText(/Pass$/).waitFor()
    const checks = page.getByRole("table", { name: "Checks" })
    for (const part of ["MainDb", "GarminDb", "BloodDb", "UfcDb", "Queue", "Storage", "Outbox", "answers"]) {
      expect(await checks.getByRole("row", { name: part }).getByText("pass").count()).toBe(1)
    }
    const consumer = page.getByRole("table", { name: "Consumers of the queues" }).getByRole("row", { name: "answers" })
    expect(await consumer.innerText()).toContain("running")
    await screenshot(page, "chat-status")
    // The public port has neither.
    for (const path of ["status", "status.json", "healthz", "metrics"]) {
      expect((await fetch(`${chat.url}${path}`)).status).toBe(404)
    }
  })

  it("is read on a phone and on a desk", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const page = await browser.open(chat.url, { colorScheme })
      await reply(page).first().waitFor()
      for (const [name, size] of Object.entries(sizes)) {
        await page.setViewportSize(size)
        await screenshot(page, `chat-${name}-${colorScheme}`, { fullPage: false })
        expect([name, await isCut(page), await paleTexts(page)]).toEqual([name, false, []])
      }
    }
  })

  it("ends on Ctrl-C with its pages open, which say so, and go on when it is started again", async () => {
    const page = await open(failedRequests)
    const status = await browser.open(chat.status, { allowed: failedRequests })
    await status.getByRole("status").getByText(/Pass$/).waitFor()
    const began = performance.now()
    const { ended, output } = await chat.interrupt()
    expect(output).toContain("Interrupted: everything that was started has been stopped.")
    expect(["SIGINT", 130]).toContain(ended)
    expect(performance.now() - began).toBeLessThan(15_000)

    await page.getByText("Not connected. It is tried again by itself.").waitFor()
    await status.getByText("the process cannot be reached").waitFor()
    await say(page, "Is anybody there?")
    await page.getByRole("alert").getByText("The connection failed").waitFor()
    expect(await page.getByLabel("Message", { exact: true }).inputValue()).toBe("Is anybody there?")

    chat = await startChat(Number(new URL(chat.url).port), Number(new URL(chat.status).port))
    await page.getByText("Live", { exact: true }).waitFor({ timeout: 30_000 })
    // Its databases are new.
    expect(await messages(page).count()).toBe(0)
    await page.getByRole("button", { name: "Send" }).click()
    await reply(page).getByText("3 words").waitFor()
    // It would try again by itself, after up to 30 seconds.
    await status.evaluate("dispatchEvent(new Event('online'))")
    await status.getByRole("status").getByText(/Pass$/).waitFor()
  }, 150_000)
})
