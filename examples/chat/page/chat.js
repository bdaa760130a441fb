/** The page: shows the messages, and sends new ones. What it is told is put in as text, never as HTML. */
const byId = (id) => document.getElementById(id)
const [form, text, file, send, error, list] = ["form", "text", "file", "send", "error", "messages"].map(byId)

const bytes = (count) =>
  count < 1024 ? `${count} bytes` : count < 1024 ** 2 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / 1024 ** 2).toFixed(1)} MiB`

/** What the server takes of a file. */
const LARGEST = 20 * 1024 ** 2

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

// The messages, as the server has them: each has its item for as long as it is there.

const items = new Map()

const itemOf = ({ author, createdAt, file, id, text }) => {
  const item = element("li", { className: author })
  item.append(element("strong", {}, author === "worker" ? "Worker" : "You"), " ")
  item.append(element("time", { dateTime: createdAt, title: createdAt }, new Date(createdAt).toLocaleTimeString()))
  if (text !== "") item.append(element("p", {}, text))
  if (file !== null) {
    const link = element("a", { href: `api/messages/${id}/file` }, file.name)
    item.append(element("p", {}, link, ` ${bytes(file.size)}`))
  }
  return item
}

const show = (messages) => {
  const answered = new Set(messages.map(({ replyTo }) => replyTo))
  const gone = new Set(items.keys())
  for (const message of messages) {
    // A server that was set up again counts from one again.
    const key = `${message.id} ${message.createdAt}`
    gone.delete(key)
    const item = items.get(key) ?? itemOf(message)
    items.set(key, item)
    const waits = message.author === "customer" && !answered.has(message.id)
    if (!waits) item.querySelector(".muted")?.remove()
    else if (item.querySelector(".muted") === null) item.append(element("p", { className: "muted" }, "The worker is at it …"))
  }
  for (const key of gone) {
    items.get(key).remove()
    items.delete(key)
  }
  byId("empty").hidden = items.size > 0
  const added = [...items.values()].filter((item) => !item.isConnected)
  if (added.length === 0) return
  const atEnd = scrollY + innerHeight >= document.documentElement.scrollHeight - 80
  list.append(...added)
  if (atEnd) scrollTo({ top: document.documentElement.scrollHeight })
}

const load = async () => {
  const response = await fetch("api/messages", { signal: AbortSignal.timeout(10_000) })
  if (!response.ok) throw new Error(`the messages were answered with ${response.status}`)
  show(await response.json())
}

// One load at a time; what changes meanwhile is asked for afterwards.
let loading
let again = false
const refresh = () => {
  again = loading !== undefined
  loading ??= load()
    .then(() => connected(true), () => connected(false))
    .finally(() => {
      loading = undefined
      if (again) refresh()
    })
}

const connected = (yes) => {
  byId("connection").className = yes ? "" : "away"
  byId("connection").textContent = yes ? "Live" : "Not connected. It is tried again by itself."
}

const listen = () => {
  const events = new EventSource("api/events")
  events.addEventListener("message", refresh)
  events.addEventListener("error", () => {
    connected(false)
    // After a refusal a browser does not try again.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2_000)
  })
}
listen()

// Sending. A draft keeps its id until it is changed or known to be there, so a second attempt is the same message.

const newId = () => {
  // crypto.randomUUID is there on https and localhost only.
  const random = crypto.getRandomValues(new Uint8Array(16))
  random[6] = random[6] & 0x0f | 0x40
  random[8] = random[8] & 0x3f | 0x80
  const hex = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
}
let id = newId()
const changed = () => {
  id = newId()
  error.textContent = ""
}
text.addEventListener("input", changed)
file.addEventListener("change", changed)

/** The only way in which a browser tells how much it has sent. */
const request = (path, body, headers, onProgress, onStart) =>
  new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest()
    sending.open("POST", path)
    for (const [name, value] of Object.entries(headers)) sending.setRequestHeader(name, value)
    sending.upload.addEventListener("progress", onProgress)
    sending.addEventListener("load", () => resolve(sending))
    sending.addEventListener("error", () => reject(new Error("The connection failed. Send it again: it will not be there twice.")))
    sending.addEventListener("abort", () => reject(new Error("Cancelled.")))
    onStart(sending)
    sending.send(body)
  })

const reasonOf = ({ responseText, status }) => {
  try {
    const { detail, message } = JSON.parse(responseText)
    return detail ?? message ?? `It was answered with ${status}.`
  } catch {
    return `It was answered with ${status}.`
  }
}

const submit = async () => {
  const chosen = file.files[0]
  const draft = { id, text: text.value }
  if (chosen === undefined && draft.text.trim() === "") throw new Error("Write a message, or choose a file.")
  if (chosen?.size > LARGEST) throw new Error(`${chosen.name} has ${bytes(chosen.size)}, and at most ${bytes(LARGEST)} are taken.`)
  if (chosen?.size === 0) throw new Error(`${chosen.name} is empty.`)
  const upload = byId("upload")
  const progress = ({ loaded, total }) => {
    byId("progress").value = loaded / total
    byId("progress-text").textContent = `${Math.floor(100 * loaded / total)} % of ${bytes(total)}`
  }
  const fields = new FormData()
  fields.append("id", draft.id)
  fields.append("text", draft.text)
  if (chosen !== undefined) fields.append("file", chosen)
  const [path, body, headers] = chosen === undefined
    ? ["api/messages", JSON.stringify(draft), { "content-type": "application/json" }]
    : ["api/attachments", fields, {}]
  try {
    const answer = await request(path, body, headers, progress, (sending) => {
      upload.hidden = chosen === undefined
      byId("cancel").onclick = () => sending.abort()
    })
    // 409: an earlier attempt had arrived.
    if (answer.status >= 400 && answer.status !== 409) throw new Error(reasonOf(answer))
  } finally {
    upload.hidden = true
    byId("progress").value = 0
    byId("progress-text").textContent = ""
  }
  form.reset()
  changed()
  refresh()
}

let sending = false
form.addEventListener("submit", async (event) => {
  event.preventDefault()
  if (sending) return
  sending = true
  error.textContent = ""
  send.disabled = text.readOnly = file.disabled = true
  await submit().catch(({ message }) => {
    error.textContent = message
  })
  send.disabled = text.readOnly = file.disabled = sending = false
  text.focus()
})
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
  event.preventDefault()
  form.requestSubmit()
})
