interface Field {
  readonly name: string
  readonly least: number
  readonly most: number
  /** Words that stand for numbers, the first for `least`. */
  readonly words?: readonly string[]
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const second: Field = { name: 'second', least: 0, most: 59 }
const fields: readonly Field[] = [
  { name: 'minute', least: 0, most: 59 },
  { name: 'hour', least: 0, most: 23 },
  { name: 'day of the month', least: 1, most: 31 },
  { name: 'month', least: 1, most: 12, words: months },
  // 7 is Sunday as well.
  { name: 'day of the week', least: 0, most: 7, words: days },
]
/** Short names for common times, as cron knows them. */
export const nicknames = ['@hourly', '@daily', '@weekly', '@monthly', '@yearly'] as const

const numberOf = (text: string, { least, words = [] }: Field): number => {
  const at = words.indexOf(text.toLowerCase())
  return at === -1 ? (/^\d{1,2}$/.test(text) ? Number(text) : NaN) : least + at
}

const wrongPart = (part: string, field: Field): string | undefined => {
  const { name, least, most } = field
  const [range = '', step, ...rest] = part.split('/')
  if (rest.length > 0 || (step !== undefined && !/^[1-9]\d?$/.test(step)))
    return `\`${part}\` is no step of the ${name}; write */5`
  if (range === '*') return undefined
  const ends = range.split('-').map((text) => numberOf(text, field))
  if (step !== undefined && ends.length === 1) return `\`${part}\` is no step of the ${name}; write */${step}`
  if (ends.length > 2 || ends.some((end) => !(end >= least && end <= most)))
    return `\`${part}\` is no ${name}; it goes from ${least} to ${most}`
  const [from = 0, to = from] = ends
  return from > to ? `\`${part}\` goes backwards in the ${name}` : undefined
}

/** What is wrong with a cron expression of five fields (six with seconds first), in words; undefined where nothing is. Days and months may be words: `mon-fri`. */
export const wrongCron = (text: string): string | undefined => {
  const words = text.trim().split(/\s+/)
  if (words.length === 1 && (nicknames as readonly string[]).includes(words[0] ?? '')) return undefined
  if (words.length !== 5 && words.length !== 6)
    return `not a time for cron; write five fields, minute first: 0 3 * * * (at 03:00), or ${nicknames.join(', ')}`
  const wanted = words.length === 6 ? [second, ...fields] : fields
  for (const [index, field] of wanted.entries())
    for (const part of (words[index] ?? '').split(',')) {
      const wrong = wrongPart(part, field)
      if (wrong !== undefined) return wrong
    }
  return undefined
}
