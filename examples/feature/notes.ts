/**
 * A feature: the note that a doctor dictates about a patient. The recording is stored, the note is written, and a job is
 * sent to transcribe it.
 */
import { Database, DatabaseError, MainDb, Queue, type ServiceError, Storage } from "@betterai/infrastructure"
import { Cause, Chunk, Effect, Schema } from "effect"

export class UnknownPatient extends Schema.TaggedError<UnknownPatient>()("UnknownPatient", { patientId: Schema.Int }) {}

export class Transcribe extends Schema.Class<Transcribe>("Transcribe")({ noteId: Schema.Int, key: Schema.String }) {}

export interface Dictation {
  readonly patientId: number
  readonly text: string
  readonly recording: Uint8Array
}

/**
 * The note is written if the job was sent. Where a job is sent and the commit fails, the job finds no note, and is dropped;
 * Outbox would send it with the commit. A recording without a note is deleted, as far as that is possible, and stays where
 * nobody knows whether there is one.
 */
export const dictate = (
  { patientId, recording, text }: Dictation
): Effect.Effect<number, UnknownPatient | DatabaseError | ServiceError, MainDb | Storage | Queue> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const jobs = yield* Queue.of(Transcribe)
    const { key } = yield* storage.uploadAudio({ data: recording, customerId: patientId, fileExtension: "ogg" })
    const written = Effect.gen(function*() {
      const { insertId } = yield* MainDb.use((sql) =>
        Database.write(sql`INSERT INTO notes ${sql.insert({ patient_id: patientId, text, storage_key: key })}`)
      )
      const noteId = Number(insertId)
      yield* jobs.enqueue(Transcribe.make({ noteId, key }), {
        messageDeduplicationId: key,
        messageGroupId: `${patientId}`
      })
      return noteId
    })
    return yield* MainDb.withTransaction(written, { retries: 2 }).pipe(
      Effect.onError((cause) => mayBeWritten(cause) ? Effect.void : Effect.ignoreLogged(storage.delete(key)))
    )
  }).pipe(
    Effect.catchIf(
      (error) => error._tag === "DatabaseError" && error.constraint === "notes_of_patient",
      () => Effect.fail(new UnknownPatient({ patientId }))
    )
  )

const mayBeWritten = (cause: Cause.Cause<unknown>): boolean =>
  Chunk.some(Cause.failures(cause), (error) => error instanceof DatabaseError && error.outcome === "unknown")
