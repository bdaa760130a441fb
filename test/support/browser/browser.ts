/** A browser for the tests of a file, and what they say about every page. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, expect, inject } from "vitest"

const root = fileURLToPath(new URL("../../..", import.meta.url))

/** Here git does not see them. */
const screenshots = join(root, "node_modules", ".cache", "screenshots")

const options = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"]
]

/** Sizes of windows, in CSS pixels. */
export const sizes = { phone: { width: 360, height: 740 }, desktop: { width: 1280, height: 900 } }

export interface TestBrowser {
  /** A page of its own, with no cookies. It may not have an error, unless `allowed` says which. */
  readonly open: (url: string, options?: BrowserContextOptions & { readonly allowed?: RegExp }) => Promise<Page>
}

/** Started once for the tests of the file. What they open is closed after each of them. */
export const useBrowser = (): TestBrowser => {
  let browser: Browser
  const problems: Array<string> = []
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: inject("chromium"), args: options })
  })
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()))
    expect(problems.splice(0)).toEqual([])
  })
  afterAll(() => browser.close())
  return {
    open: async (url, { allowed, ...options } = {}) => {
      const context = await browser.newContext({ viewport: sizes.desktop, ...options })
      context.setDefaultTimeout(10_000)
      const page = await context.newPage()
      const note = (problem: string) => {
        if (!allowed?.test(problem)) problems.push(problem)
      }
      page.on("pageerror", (error) => note(error.message))
      // What the Content-Security-Policy refuses is an error of the console too.
      page.on("console", (message) => {
        if (message.type() === "error") note(message.text())
      })
      await page.goto(url)
      return page
    }
  }
}

/** A picture for people: of the whole page, or of what the window shows. */
export const screenshot = async (page: Page, name: string, { fullPage = true } = {}): Promise<void> => {
  mkdirSync(screenshots, { recursive: true })
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage })
}

/** Whether the page is wider than its window. */
export const isCut = (page: Page): Promise<boolean> =>
  page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")

/**
 * The texts whose contrast is less than WCAG 2.2 asks of level AA (1.4.3): 4.5 to 1, or 3 to 1 for large ones. Backgrounds
 * are taken as plain colours.
 */
export const paleTexts = (page: Page): Promise<ReadonlyArray<string>> =>
  page.evaluate(`(() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number)
    const luminance = (colour) => {
      const [r, g, b] = channels(colour).map((value) => value / 255).map((value) =>
        value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
      return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = getComputedStyle(at).backgroundColor
        if ((channels(colour)[3] ?? 1) === 1) return colour
      }
      return "rgb(255, 255, 255)"
    }
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    const pale = []
    let seen = 0
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement
      const { color, fontSize, fontWeight } = getComputedStyle(element)
      if (texts.currentNode.data.trim() === "" || !element.checkVisibility() || element.closest("script, style")) continue
      const [a, b] = [luminance(color), luminance(behind(element))].sort((a, b) => b - a)
      const contrast = (a + 0.05) / (b + 0.05)
      const large = parseFloat(fontSize) >= 24 || parseFloat(fontSize) >= 18.66 && Number(fontWeight) >= 700
      seen += 1
      if (contrast < (large ? 3 : 4.5)) pale.push(contrast.toFixed(2) + ": " + texts.currentNode.data.trim())
    }
    return seen === 0 ? ["no text was seen"] : pale
  })()`)
