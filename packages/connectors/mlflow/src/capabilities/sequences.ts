/** Hands on what pages hold, one by one, and stops asking at the limit. */
export async function* each<T, Out>(
  pages: AsyncIterable<readonly T[]>,
  limit: number | undefined,
  map: (item: T) => Out,
): AsyncGenerator<Out> {
  let left = limit ?? Infinity
  for await (const page of pages)
    for (const item of page) {
      yield map(item)
      left -= 1
      if (left <= 0) return
    }
}

/** Records a page: no more than are wanted. */
export const pageFor = (limit: number | undefined, most: number): number => Math.min(limit ?? most, most)
