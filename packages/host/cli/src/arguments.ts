import { InvalidArgumentError } from 'commander'

/** A whole number, 0 or more. */
export const positive = (what: string) => (text: string) => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError(`${what} is a whole number, 0 or more`)
  return value
}
/** A whole number, 1 or more. */
export const atLeastOne = (what: string) => (text: string) => {
  const value = positive(what)(text)
  if (value === 0) throw new InvalidArgumentError(`${what} is a whole number, 1 or more`)
  return value
}
/** An option that may be given more than once. */
export const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]
