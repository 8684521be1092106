import { expect, test } from 'vitest'
import type { Form } from '../src/form.ts'
import { plainLane, wasmLane } from '../src/lane.ts'
import { decide } from '../src/road.ts'
import { scannerOver } from '../src/scanner.ts'
import { corpus } from './corpus.ts'

const shown = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}… (${text.length})` : text)

test('the corpus has at least 300 inputs', () => {
  expect(corpus.length).toBeGreaterThanOrEqual(300)
})

test.each(corpus.map((each) => [shown(each.text), each.form.kind, each] as const))(
  '%s as %s',
  (_shown, _kind, given) => {
    const { form, text, verdict } = given
    expect(decide(form, Buffer.from(text))).toMatchObject(verdict)
    // As a field between two others, through both scanners; what breaks the page breaks it for both.
    const record: Form = {
      kind: 'struct',
      unknownFields: 'strip',
      fields: [
        { name: 'before', form: { kind: 'integer' } },
        { name: 'value', form },
        { name: 'after', form: { kind: 'boolean' } },
      ],
    }
    const page = `{"rows":[{"before":1,"value":${text},"after":true},{"before":2,"value":${text}, "after":false}]}`
    const seen = [plainLane(record), wasmLane(record)].map((lane) => {
      try {
        const { chunks, ...rest } = scannerOver(record, lane).page(Buffer.from(page), ['rows'])
        return { ...rest, text: Buffer.concat(chunks).toString('utf8') }
      } catch (error) {
        return { page: String(error) }
      }
    })
    expect(seen[1]).toEqual(seen[0])
    const counts = seen.map((each) => ('count' in each ? each.count : 0))
    expect(counts[0] === 2).toBe('row' in verdict)
    // As a line, whatever it breaks it breaks alone.
    if (text.includes('\n')) return
    const line = `{"before":1,"value":${text},"after":true}`
    const lines = [plainLane(record), wasmLane(record)].map((lane) => {
      const { chunks, ...rest } = scannerOver(record, lane).lines(
        Buffer.from(`${line}\r\n\n{"before":0,"value"\n${line} `),
      )
      return { ...rest, text: Buffer.concat(chunks).toString('utf8') }
    })
    expect(lines[1]).toEqual(lines[0])
    const alone = decide(record, Buffer.from(line))
    expect(lines[0]).toMatchObject(
      'row' in alone
        ? { count: 2, rejected: [{ index: 1, reason: 'not JSON' }] }
        : { count: 0, rejected: [alone, { index: 1 }, { ...alone, index: 2 }] },
    )
  },
)
