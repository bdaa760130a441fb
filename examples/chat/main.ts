/** The chat with the services that the environment names: `npx tsx examples/chat/main.ts`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { chat } from "./app.ts"

NodeRuntime.runMain(chat)
