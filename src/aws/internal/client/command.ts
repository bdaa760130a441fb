/** The SDK's clients and commands, as far as they matter here. */

export interface Client {
  readonly send: unknown
}

export interface Command {
  readonly input: object
}

/** What `send` of an SDK client does: it lets the command make its handler, and runs it. */
export type Handler = (command: Command) => Promise<{ readonly output: unknown }>
