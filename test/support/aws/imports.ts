/** Which modules a fresh process loads for an import. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"

const source = (path: string) => new URL(`../../../src/${path}`, import.meta.url).href

/** The URLs and files of all modules, ours and of packages, that importing `src/{path}` loads. */
export const loadedBy = (path: string): Promise<ReadonlyArray<string>> => {
  const script = `
    import Module, { register } from "node:module"
    import { MessageChannel } from "node:worker_threads"
    const { port1, port2 } = new MessageChannel()
    const loaded = []
    port1.on("message", (url) => loaded.push(url))
    port1.unref()
    const hooks = "let port; export const initialize = (data) => { port = data.port };"
      + "export const load = (url, context, next) => { port.postMessage(url); return next(url, context) }"
    register("data:text/javascript," + encodeURIComponent(hooks), { parentURL: import.meta.url, data: { port: port2 }, transferList: [port2] })
    await import(${JSON.stringify(source(path))})
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log(JSON.stringify([...loaded, ...Object.keys(Module._cache)]))
  `
  return new Promise((resolve, reject) =>
    execFile(
      process.execPath,
      ["--import", "tsx", "--input-type=module", "--eval", script],
      { cwd: fileURLToPath(new URL("../../..", import.meta.url)), maxBuffer: 64 * 1024 * 1024 },
      (error, stdout) => error === null ? resolve(JSON.parse(stdout) as ReadonlyArray<string>) : reject(error)
    )
  )
}
