/**
 * Runs pieces of work one after the other, in the order in which they were asked for. A DuckDB connection that is closed while a query of it runs,
 * and a database that is closed while a connection to it is being opened, end the process (tried with @duckdb/node-api 1.5.6-r.1): a close must
 * stand in the same line as the work.
 */
export const oneByOne = (): (<T>(work: () => Promise<T>) => Promise<T>) => {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }
}
