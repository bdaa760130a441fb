/** The tests of the feature: on a database of their own, each rolled back at its end. */
import { MainDb, Queue, Storage } from "@betterai/infrastructure"
import { Testing } from "@betterai/infrastructure/testing"
import { expect, layer } from "@effect/vitest"
import { Effect } from "effect"
import { dictate } from "./notes.ts"

const { Fault, QueueFault, StorageFault } = Testing

// #region test
const Main = Testing.database(MainDb, {
  tables: Testing.sqlFile(new URL("notes.sql", import.meta.url)),
  seeds: { patients: [{ id: 7, name: "Ada" }] }
})

const dictation = { patientId: 7, text: "sleeps well", recording: new Uint8Array([1, 2, 3]) }

const notes = MainDb.use((sql) => sql`SELECT id, text FROM notes`)

layer(Testing.layerWith({ databases: [Main], queue: { kind: "fifo" } }), { timeout: "2 minutes" })("dictate", (all) => {
  const it = Testing.rollbackEach(all, MainDb)

  it.effect("stores the recording, writes the note and sends a job", () =>
    Effect.gen(function*() {
      const before = yield* Storage.objects
      const noteId = yield* dictate(dictation)
      expect(yield* notes).toEqual([{ id: noteId, text: "sleeps well" }])
      const [object] = (yield* Storage.objects).slice(before.length)
      expect(object).toMatchObject({ contentType: "audio/ogg", bytes: dictation.recording })
      expect((yield* Queue.messages).at(-1)).toMatchObject({ payload: { noteId, key: object?.key } })
    }))
  // #endregion

  it.effect("knows the patients", () =>
    Effect.gen(function*() {
      const before = yield* Storage.objects
      const error = yield* Effect.flip(dictate({ ...dictation, patientId: 8 }))
      expect(error).toMatchObject({ _tag: "UnknownPatient", patientId: 8 })
      expect(yield* Storage.objects).toEqual(before)
    }))

  it.effect("writes nothing if the job is not sent, and keeps no recording", () =>
    Effect.gen(function*() {
      const before = yield* Storage.objects
      const error = yield* dictate(dictation).pipe(
        Effect.flip,
        Effect.provide(Testing.faults(Queue, [QueueFault.throttled({ method: "enqueue" })]))
      )
      expect(error).toMatchObject({ _tag: "ServiceError", reason: "Throttled", retryable: true })
      expect(yield* notes).toEqual([])
      expect(yield* Storage.objects).toEqual(before)
    }))

  it.effect("writes nothing if the recording may not be stored", () =>
    Effect.gen(function*() {
      const error = yield* dictate(dictation).pipe(
        Effect.flip,
        Effect.provide(Testing.faults(Storage, [StorageFault.accessDenied({ method: "upload" })]))
      )
      expect(error).toMatchObject({ _tag: "ServiceError", reason: "AccessDenied" })
      expect(yield* notes).toEqual([])
    }))
})

// The pause before a retry is real time here; the Clock of a test would have to be adjusted.
const realTime = { timeout: "2 minutes", excludeTestServices: true } as const

layer(Testing.layerWith({ databases: [Main] }), realTime)("dictate, committing", (it) => {
  it.effect("is tried again after a deadlock", () =>
    Effect.gen(function*() {
      yield* dictate(dictation).pipe(
        Effect.provide(Testing.faults(MainDb, [Fault.deadlock({ statement: "INSERT" })]))
      )
      expect(yield* notes).toHaveLength(1)
      expect(yield* Queue.messages).toHaveLength(1)
    }).pipe(Testing.restoring(MainDb)))

  it.effect("keeps the recording if nobody knows whether the note is written", () =>
    Effect.gen(function*() {
      const before = yield* Storage.objects
      const error = yield* dictate(dictation).pipe(
        Effect.flip,
        Effect.provide(Testing.faults(MainDb, [Fault.commitLost()]))
      )
      expect(error).toMatchObject({ _tag: "DatabaseError", reason: "CommitOutcomeUnknown" })
      expect(yield* Storage.objects).toHaveLength(before.length + 1)
    }).pipe(Testing.restoring(MainDb)))
})
