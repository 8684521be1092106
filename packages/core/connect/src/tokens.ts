import type { TokenCache } from '@ecokit/contracts'

/** Tokens in memory, for one connection. A failed `once` is given to all that wait for it and forgotten, so that the next caller tries again. */
export const memoryTokens = (now: () => number): TokenCache => {
  const kept = new Map<string, { readonly value: string; readonly expiresAt: number }>()
  const running = new Map<string, Promise<unknown>>()
  return {
    get: (key) => {
      const token = kept.get(key)
      if (token !== undefined && token.expiresAt > now()) return Promise.resolve(token.value)
      kept.delete(key)
      return Promise.resolve(undefined)
    },
    set: (key, value, expiresAt) => {
      kept.set(key, { value, expiresAt })
      return Promise.resolve()
    },
    once: <T>(key: string, work: () => Promise<T>): Promise<T> => {
      const waiting = running.get(key)
      if (waiting !== undefined) return waiting as Promise<T>
      const result = Promise.resolve()
        .then(work)
        .finally(() => running.delete(key))
      running.set(key, result)
      return result
    },
  }
}
