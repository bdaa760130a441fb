/** The script of the status page: no library, and no HTML made of what it is told. */
export const script = `
"use strict"
const EVERY = 2000 // ms between two requests
const PATIENCE = 5000 // ms for one answer
const LONGEST = 30000 // ms between two attempts while nothing answers
const POINTS = 60 // of a line: two minutes

const byId = (id) => document.getElementById(id)
const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes ?? {})) if (value !== undefined) node.setAttribute(name, value)
  for (const child of children.flat()) if (child !== undefined && child !== null && child !== "") node.append(child)
  return node
}
// A child that is no node becomes a text.
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children)
const svg = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children)

// Makes one node as another is, and leaves alone what is the same: focus and selection stay.
const patch = (to, from) => {
  if (to.nodeName !== from.nodeName) return to.replaceWith(from)
  if (to.nodeType === Node.TEXT_NODE) {
    if (to.data !== from.data) to.data = from.data
    return
  }
  for (const { name, value } of from.attributes) if (to.getAttribute(name) !== value) to.setAttribute(name, value)
  for (const { name } of [...to.attributes]) if (!from.hasAttribute(name)) to.removeAttribute(name)
  const before = [...to.childNodes]
  const after = [...from.childNodes]
  after.forEach((node, index) => before[index] ? patch(before[index], node) : to.append(node))
  before.slice(after.length).forEach((node) => node.remove())
}
const show = (id, ...children) => {
  const now = byId(id)
  patch(now, fill(now.cloneNode(false), {}, children))
}

const count = (value) => new Intl.NumberFormat("en", { maximumFractionDigits: 1 }).format(value)
const units = [[86400, "d"], [3600, "h"], [60, "min"]]
const duration = (seconds) => {
  const index = units.findIndex(([size]) => seconds >= size)
  if (index < 0) return count(seconds < 10 ? Math.max(0, seconds) : Math.round(seconds)) + " s"
  const [size, unit] = units[index]
  const [less, lessUnit] = units[index + 1] ?? [1, "s"]
  return Math.floor(seconds / size) + " " + unit + " " + Math.floor(seconds % size / less) + " " + lessUnit
}
const clock = (time) => new Date(time).toLocaleTimeString("en-GB")
const timeOf = (time) => el("time", { datetime: time, title: time }, clock(time))
const since = (now, time) =>
  time === null ? "never" : el("time", { datetime: time, title: time }, duration((Date.parse(now) - Date.parse(time)) / 1000) + " ago")

const symbols = { pass: "\\u2713", warn: "!", fail: "\\u2715" }
const badge = (status) => el("span", { class: "badge " + status }, el("span", { "aria-hidden": "true" }, symbols[status] + " "), status)
const failure = (error) => error && el("div", { class: "message" }, error.of + " " + error.reason + ": " + error.message)
const bad = (value) => value > 0 ? el("span", { class: "bad" }, count(value)) : count(value)
const none = (text) => el("p", { class: "muted" }, text)
const figures = (pairs, className) => el("dl", { class: className }, pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))))

// Roles are written out: a table that a small screen shows as blocks has lost its own.
const table = (columns, rows, caption) =>
  el("table", { role: "table", "aria-label": caption },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, columns.map(([name, className]) =>
      el("th", { role: "columnheader", scope: "col", class: className }, name)))),
    el("tbody", { role: "rowgroup" }, rows.map((cells) => el("tr", { role: "row" }, cells.map((cell, index) => {
      const [name, className] = columns[index]
      return index === 0
        ? el("th", { role: "rowheader", scope: "row" }, cell)
        : el("td", { role: "cell", "data-label": name, class: className }, cell)
    })))))
const number = (name) => [name, "number"]

const histories = new Map()
const remember = (key, value) => {
  const values = [...(histories.get(key) ?? []), value].slice(-POINTS)
  histories.set(key, values)
  return values
}
const line = (values, max) =>
  svg("svg", { class: "line", viewBox: "0 0 " + (POINTS - 1) + " 20", preserveAspectRatio: "none", role: "img",
    "aria-label": "from " + count(Math.min(...values)) + " to " + count(Math.max(...values)) },
    svg("polyline", { points: values.map((value, index) =>
      (POINTS - values.length + index) + "," + (19 - 18 * value / Math.max(1, max))).join(" ") }))
const bar = ({ active, idle, dialling, max }) => {
  const part = (name, from, width) => svg("rect", { class: name, x: from, y: 0, width, height: 1 })
  return svg("svg", { class: "bar", viewBox: "0 0 " + Math.max(1, max) + " 1", preserveAspectRatio: "none", "aria-hidden": "true" },
    part("active", 0, active), part("dialling", active, dialling), part("idle", active + dialling, idle))
}

const severity = { fail: 0, warn: 1, pass: 2 }
const checks = ({ health, ready }) => {
  const notReady = new Set(ready.checks.filter(({ status }) => status === "fail").map(({ name }) => name))
  return table(["Part", "Status", "Detail", "Observed"].map((name) => [name]), health.checks
    .toSorted((a, b) => severity[a.status] - severity[b.status])
    .map(({ name, component, status, detail, observed }) => [
      [name, " ", component === name ? "" : el("span", { class: "muted" }, component)],
      badge(status),
      [detail, notReady.has(name) ? " (not ready)" : ""],
      Object.keys(observed).length === 0 ? "" : figures(Object.entries(observed).map(([name, value]) =>
        [name, typeof value === "number" ? count(value) : String(value)]), "observed")
    ]), "Checks")
}

const total = (counts) => Object.values(counts).reduce((sum, value) => sum + value, 0)
const databases = ({ databases }) =>
  databases.length === 0 ? none("No database.") : table(
    [["Database"], ["Connections"], ["Active, 2 min"], number("Waiting"), number("Opened"), number("Timeouts"), number("Failed dials"), number("Discarded")],
    databases.map(({ name, pool }) => pool === null ? [name, "its client has no pool of ours", "", "", "", "", "", ""] : [
      name,
      el("div", {}, bar(pool), count(pool.active) + " active, " + count(pool.idle) + " idle" +
        (pool.dialling > 0 ? ", " + count(pool.dialling) + " dialling" : "") + ", at most " + count(pool.max)),
      line(remember("pool " + name, pool.active), pool.max),
      bad(pool.waiting),
      count(pool.opened),
      bad(pool.timeouts),
      bad(pool.dialFailures),
      el("span", { title: Object.entries(pool.discarded).map(([name, value]) => name + " " + value).join(", ") }, count(total(pool.discarded)))
    ]), "Pools of the databases")

const rates = new Map()
const rate = (key, time, value) => {
  const before = rates.get(key)
  rates.set(key, { time, value })
  // A process that was started again counts from zero.
  if (before === undefined || before.value > value || before.time === time) return ""
  return count((value - before.value) / ((Date.parse(time) - Date.parse(before.time)) / 1000))
}
const queues = ({ queues, time }) =>
  queues.length === 0 ? none("No queue.") : table(
    [["Consumer"], ["Queue"], ["State"], number("In flight"), number("Succeeded"), number("Failed"), number("Per second"), ["Last poll"], ["Last error"]],
    queues.flatMap((queue) => queue.consumers.length === 0
      ? [[queue.name, "", "no consumer here", "", "", "", "", "", ""]]
      : queue.consumers.map((consumer, index) => [
        consumer.name,
        consumer.queue,
        consumer.state,
        count(consumer.inFlight),
        count(consumer.succeeded),
        bad(consumer.failed),
        rate(queue.name + " " + index + " " + consumer.name, time, consumer.succeeded),
        since(time, consumer.lastPollAt),
        failure(consumer.lastError)
      ])), "Consumers of the queues")

const blockedText = ({ id, queue, messageGroupId, reason }) =>
  el("div", { class: "message" }, reason + ": " + id + " for " + queue + (messageGroupId === null ? "" : ", and the group " + messageGroupId + " behind it"))
const outbox = ({ outbox }) => outbox === null ? none("None is looked at, or its database did not answer: see the checks.") : [
  figures([
    ["Waiting to be sent", count(outbox.messages)],
    ["The oldest waits", outbox.oldestSeconds === null ? "\\u2013" : duration(outbox.oldestSeconds)],
    ["Relays here", count(outbox.relays.length)]
  ]),
  outbox.relays.length === 0 ? "" : table([["Relay"], ["State"], ["Shards of 16"], ["Blocked"], ["Last error"]],
    outbox.relays.map(({ state, shards, blocked, lastError }, index) =>
      ["Relay " + (index + 1), state, count(shards.length), blocked.map(blockedText), failure(lastError)]), "Relays of the outbox")
]

const errors = ({ recentErrors }) => recentErrors.length === 0 ? none("None since the start.") : table(
  [["Time"], ["Level"], ["Of"], ["Reason"], ["Message"]],
  recentErrors.map(({ time, level, of, reason, message }) =>
    [timeOf(time), level, of, reason, el("div", { class: "message" }, message)]), "Recent errors, the newest first")

const MiB = (bytes) => count(bytes / 1048576) + " MiB"
const processes = ({ process }) => figures([
  ["Uptime", duration(process.uptimeSeconds)],
  ["Event loop lag", count(process.eventLoopLagMillis) + " ms"],
  ["Memory", MiB(process.rssBytes)],
  ["Heap", MiB(process.heapUsedBytes)],
  ["Node", process.nodeVersion],
  ["Process", String(process.pid)]
])

const words = { pass: "Pass", warn: "Warn", fail: "Fail" }
const icons = { pass: "1a7f37", warn: "bf8700", fail: "cf222e", gone: "57606a" }
const verdict = (state, strong, more) => {
  byId("overall").className = state
  // Only a change is read out.
  show("verdict", el("strong", {}, el("span", { "aria-hidden": "true" }, symbols[state] + " "), strong), more && el("span", {}, more))
  document.title = strong + " \\u00b7 " + location.host
}
const icon = (name) => {
  const href = "data:image/svg+xml," + encodeURIComponent("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='#" + icons[name] + "'/></svg>")
  const link = document.querySelector("link[rel=icon]")
  if (link.href !== href) link.href = href
}

let last // the time of the status that is shown, by the clock of its process
let lastAt // when it arrived, by the clock here
const render = (status) => {
  show("process", processes(status))
  show("checks", checks(status))
  show("databases", databases(status))
  show("queues", queues(status))
  show("outbox", outbox(status))
  show("errors", errors(status))
  const { health, process, ready } = status
  const worst = health.checks.filter(({ status }) => status === health.status && status !== "pass").map(({ name }) => name).join(", ")
  verdict(health.status, words[health.status] + (worst === "" ? "" : ": " + worst), process.draining
    ? "Shutting down: takes no new traffic"
    : ready.status === "fail" ? "Not ready: takes no traffic" : "Ready: takes traffic")
  icon(health.status)
  last = status.time
  lastAt = performance.now()
  document.body.classList.remove("stale")
}

let failures = 0
let next // when the next attempt is made
let timer
let request
const pause = byId("pause")
const paused = () => pause.getAttribute("aria-pressed") === "true"
const ago = () => duration(Math.floor((performance.now() - lastAt) / 1000)) + " ago"

const freshness = () => {
  const shown = last === undefined ? "" : "As of " + clock(last)
  if (failures > 0) {
    const wait = Math.max(0, Math.ceil((next - performance.now()) / 1000))
    show("freshness", (shown === "" ? "" : shown + ", " + ago() + ". ") + (paused() ? "Paused." : wait === 0 ? "Trying now." : "Next attempt in " + wait + " s."))
  } else show("freshness", shown + (paused() ? ", " + ago() + ". Paused." : ""))
}
setInterval(() => {
  if (failures > 0 || paused()) freshness()
}, 1000)

const read = async (signal) => {
  const response = await fetch("status.json", { signal, cache: "no-store", headers: { accept: "application/json" } }).catch((cause) => {
    throw new Error("the process cannot be reached", { cause })
  })
  if (!response.ok) throw new Error("status.json was answered with " + response.status)
  return response.json().catch((cause) => {
    throw new Error("the answer broke off or is no JSON", { cause })
  })
}
const failed = (error) => {
  failures += 1
  document.body.classList.add("stale")
  verdict("fail", last === undefined ? "Nothing known" : "Not live", error.message)
  icon("gone")
}
const poll = async () => {
  clearTimeout(timer)
  request?.abort()
  const mine = request = new AbortController()
  let late = false
  const limit = setTimeout(() => {
    late = true
    mine.abort()
  }, PATIENCE)
  try {
    const status = await read(mine.signal)
    if (mine !== request) return
    try {
      render(status)
      failures = 0
    } catch (error) {
      failed(new Error("status.json is not what this page expects, reload it (" + error.message + ")"))
    }
  } catch (error) {
    // Given up for a newer one, or because nobody looks.
    if (mine !== request) return
    failed(late ? new Error("no answer within " + PATIENCE / 1000 + " s") : error)
  } finally {
    clearTimeout(limit)
  }
  const wait = failures === 0 ? EVERY : Math.min(LONGEST, EVERY * 2 ** (failures - 1))
  next = performance.now() + wait
  timer = setTimeout(poll, wait)
  freshness()
}
const stop = () => {
  clearTimeout(timer)
  request?.abort()
  request = undefined
  freshness()
}
const resume = () => document.hidden || paused() ? stop() : void poll()

pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", String(!paused()))
  resume()
})
document.addEventListener("visibilitychange", resume)
addEventListener("online", resume)
byId("host").textContent = location.host
poll()
`
