/**
 * What the variables of this process are now. The function that it gives makes them so again; `process.env` stays the same
 * object, for the files that come after in this worker.
 */
export const keepEnvironment = (): () => void => {
  const kept = { ...process.env }
  return () => {
    for (const name of Object.keys(process.env)) if (!(name in kept)) delete process.env[name]
    Object.assign(process.env, kept)
  }
}
