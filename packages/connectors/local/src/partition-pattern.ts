/** How an entry of `partitionBy` is written: a column, or a unit of the time in one. */
export const partitionPattern = /^(?:(year|month|day|hour)\(([\w-]{1,100})\)|([\w-]{1,100}))$/
