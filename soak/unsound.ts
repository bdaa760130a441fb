/** What a soak ends with if something does not add up. */
import * as Data from "effect/Data"

export class Unsound extends Data.TaggedError("Unsound")<{ readonly findings: ReadonlyArray<string> }> {
  override get message(): string {
    return `${this.findings.length} things do not add up:\n${this.findings.slice(0, 50).join("\n")}`
  }
}
