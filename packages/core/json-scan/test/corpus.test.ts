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
        const { chunks, ...rest } = scannerOver(record, lane)(Buffer.from(page), ['rows'])
        return { ...rest, text: Buffer.concat(chunks).toString('utf8') }
      } catch (error) {
        return { page: String(error) }
      }
    })
    expect(seen[1]).toEqual(seen[0])
    const counts = seen.map((each) => ('count' in each ? each.count : 0))
    expect(counts[0] === 2).toBe('row' in verdict)
  },
)
