/** Where in a payload something is, for errors. A key may be personal data: only one that looks like a name is shown. */

/** The longest path that is shown, in steps. */
const LONGEST = 12

/** A key of an object, or the position in an array. */
export type Step = string | number

/** `payload.items[3].at`; a key that is no short identifier is `[key]`. */
export const format = (root: string, steps: ReadonlyArray<Step>): string =>
  root + steps.slice(0, LONGEST).map(shown).join("") + (steps.length > LONGEST ? "…" : "")

const shown = (step: Step): string =>
  typeof step === "number" ? `[${step}]` : /^[A-Za-z_$][\w$]{0,39}$/.test(step) ? `.${step}` : "[key]"
