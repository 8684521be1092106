/** The last moment of the year 9999: ISO 8601 as the house speaks it has four digits for a year. */
const latest = 253_402_300_799_999

/** ISO 8601 in UTC; undefined for none, and for what is before 1970 or after the year 9999, which no server of MLflow hinders a client to send. */
export const iso = (milliseconds: number | undefined): string | undefined =>
  milliseconds === undefined || !(milliseconds >= 0 && milliseconds <= latest)
    ? undefined
    : new Date(milliseconds).toISOString()

/** The same for a column: null for none, and the bare digits of what is no time, which the stream's schema refuses, so that it shows instead of getting lost. */
export const column = (milliseconds: number | bigint | undefined): string | null =>
  milliseconds === undefined ? null : (iso(Number(milliseconds)) ?? String(milliseconds))

export const epoch = (time: string): number => Date.parse(time)
