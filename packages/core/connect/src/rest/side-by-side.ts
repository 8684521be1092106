/** A page, and the item whose walk brought it. */
export interface Turn<Item, Page> {
  readonly item: Item
  readonly page: Page
}

/**
 * Walks up to `most` items at once and gives their pages as they come, those of one item in their order. Items are taken in theirs, one whenever there is
 * room. When the caller leaves, or one fails, all others are aborted and have ended before this ends.
 */
export async function* sideBySide<Item, Page>(
  items: (signal: AbortSignal) => AsyncGenerator<Item>,
  most: number,
  signal: AbortSignal | undefined,
  walk: (item: Item, signal: AbortSignal) => AsyncGenerator<Page>,
): AsyncGenerator<Turn<Item, Page>> {
  const leaving = new AbortController()
  const either = signal === undefined ? leaving.signal : AbortSignal.any([signal, leaving.signal])
  const source = items(either)
  const walks = new Map<AsyncGenerator<Page>, Item>()
  /** What is awaited, the longest first: whoever has come is put behind the others. */
  const coming = new Map<AsyncGenerator, Promise<() => Turn<Item, Page> | undefined>>()
  const expect = <T>(
    of: AsyncGenerator<T>,
    arrived: (step: IteratorResult<T>) => Turn<Item, Page> | undefined,
  ): void => {
    const turn = of.next().then((step) => () => {
      coming.delete(of)
      return arrived(step)
    })
    turn.catch(() => undefined) // Told when it is its turn.
    coming.set(of, turn)
  }
  let more = true
  const next = (): void => {
    if (!more || walks.size >= most || coming.has(source)) return
    expect(source, ({ done, value }) => {
      more = done !== true
      if (more) begin(value as Item)
      next()
      return undefined
    })
  }
  const begin = (item: Item): void => {
    const pages = walk(item, either)
    walks.set(pages, item)
    onward(pages, item)
  }
  const onward = (pages: AsyncGenerator<Page>, item: Item): void => {
    expect(pages, ({ done, value }) => {
      if (done !== true) return { item, page: value }
      walks.delete(pages)
      next()
      return undefined
    })
  }
  try {
    next()
    while (coming.size > 0) {
      const arrived = await Promise.race(coming.values())
      const turn = arrived()
      if (turn === undefined) continue
      yield turn
      for (const [pages, item] of walks) if (item === turn.item && !coming.has(pages)) onward(pages, item)
    }
  } finally {
    leaving.abort()
    await Promise.allSettled([source, ...walks.keys()].map((one) => one.return(undefined)))
  }
}
