/** The wait before the next attempt: what the partner asks for, else exponential backoff with full jitter. */
export const waitBefore = (
  attempt: number,
  retryAfterMs: number | undefined,
  random: () => number,
  baseMs: number,
  maxMs: number,
): number => {
  if (retryAfterMs !== undefined && retryAfterMs > 0) return retryAfterMs
  return Math.floor(random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1)))
}
