/** Thrown for a value that a column cannot hold as it is; never leaves this package. */
export interface Refused {
  readonly refused: string
}
/** Says why a value cannot be stored. */
export const refuse = (reason: string): never => {
  throw { refused: reason } satisfies Refused
}
/** The reason, or undefined for any other error. */
export const refusal = (thrown: unknown): string | undefined =>
  typeof thrown === 'object' && thrown !== null && 'refused' in thrown && typeof thrown.refused === 'string'
    ? thrown.refused
    : undefined
