/** Works on up to `most` items at once and gives the results in the items' own order. When the caller leaves, or one fails, the others are aborted. */
export async function* inOrder<Item, Result>(
  items: readonly Item[],
  most: number,
  signal: AbortSignal | undefined,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): AsyncGenerator<Result> {
  const leaving = new AbortController()
  const either = signal === undefined ? leaving.signal : AbortSignal.any([signal, leaving.signal])
  const running: Promise<Result>[] = []
  let next = 0
  const fill = (): void => {
    for (; next < items.length && running.length < most; next += 1) {
      const result = work(items[next] as Item, either)
      result.catch(() => undefined) // Told when it is its turn.
      running.push(result)
    }
  }
  try {
    fill()
    for (let first = running.shift(); first !== undefined; first = running.shift()) {
      const result = await first
      fill()
      yield result
    }
  } finally {
    leaving.abort()
  }
}
