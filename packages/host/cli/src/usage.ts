/** The exit codes of every command. */
export const exits = { done: 0, failed: 1, usage: 2 } as const

/** A command line that cannot be carried out as it stands; ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
