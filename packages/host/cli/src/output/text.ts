const segments = new Intl.Segmenter()
// East Asian wide and emoji: two cells on a terminal (https://www.unicode.org/reports/tr11/).
const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u
// eslint-disable-next-line no-control-regex -- finding control characters is the point
const control = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** A partner's words for one line of a terminal: what would move the cursor, change colours or turn the direction becomes visible. */
export const visible = (text: string): string =>
  text.replace(control, (found) => (found === '\n' || found === '\t' || found === '\r' ? ' ' : '\ufffd'))

/** How many cells a text without control characters takes. */
export const width = (text: string): number => {
  let cells = 0
  for (const { segment } of segments.segment(text)) cells += wide.test(segment) ? 2 : 1
  return cells
}

/** The text, cut with an ellipsis where it takes more cells than `limit`. */
export const cut = (text: string, limit: number): string => {
  if (width(text) <= limit) return text
  let kept = ''
  let cells = 1
  for (const { segment } of segments.segment(text)) {
    cells += wide.test(segment) ? 2 : 1
    if (cells > limit) break
    kept += segment
  }
  return `${kept}…`
}

/** The same, with its end kept. */
export const cutStart = (text: string, limit: number): string => {
  const reversed = (one: string) =>
    Array.from(segments.segment(one), ({ segment }) => segment)
      .reverse()
      .join('')
  return width(text) <= limit ? text : reversed(cut(reversed(text), limit))
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const
/** A size for people: `3.4 MB`. */
export const size = (bytes: number): string => {
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3))
  const value = bytes / 1000 ** power
  return `${power === 0 ? String(value) : value.toFixed(1)} ${units[power] ?? 'B'}`
}

/** A duration for people: `340 ms`, `3.4 s`, `5 min 12 s`. */
export const duration = (milliseconds: number): string => {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  const seconds = milliseconds / 1000
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  const minutes = Math.floor(seconds / 60)
  const and = (rest: number, unit: string) => (rest === 0 ? '' : ` ${rest} ${unit}`)
  if (minutes < 60) return `${minutes} min${and(Math.floor(seconds % 60), 's')}`
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h${and(minutes % 60, 'min')}`
  return `${Math.floor(minutes / 1440)} d`
}

/** A count for people: `12,345`. */
export const count = (value: number): string => value.toLocaleString('en-US')
