import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readEvents, type StreamEvent } from '../src/event-stream.ts'

async function* pieces(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const places = [0, ...[...cuts].sort((left, right) => left - right), bytes.length]
  for (const [at, place] of places.entries()) if (at > 0) yield bytes.subarray(places[at - 1], place)
}
const read = (text: string, cuts: readonly number[] = []): Promise<StreamEvent[]> =>
  Array.fromAsync(readEvents(pieces(new TextEncoder().encode(text), cuts)))

test('reads names, data of several lines, comments and unknown fields', async () => {
  const text = ': heartbeat\n\nevent: partner\nid: 7\ndata: one\ndata:two\n\ndata: x\n\n'
  expect(await read(text)).toEqual([
    { event: 'partner', data: 'one\ntwo' },
    { event: 'message', data: 'x' },
  ])
})

test('drops an event without data and one that the end cut off', async () => {
  expect(await read('event: hello\n\ndata: whole\n\ndata: half\n')).toEqual([{ event: 'message', data: 'whole' }])
})

test('takes a CR LF that is cut in two for one line end', async () => {
  const text = 'data: a\r\ndata: b\r\n\r\n'
  for (let cut = 1; cut < text.length; cut++)
    expect(await read(text, [cut])).toEqual([{ event: 'message', data: 'a\nb' }])
})

test('property: however the bytes are cut, the events are the same', async () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => text.replace(/[\r\n]/g, ' '))
  const events = fc.array(
    fc.record({
      event: fc.constantFrom('partner', 'check', 'run'),
      lines: fc.array(line, { minLength: 1, maxLength: 3 }),
    }),
    { maxLength: 6 },
  )
  const ends = fc.constantFrom('\n', '\r\n', '\r')
  await fc.assert(
    fc.asyncProperty(events, ends, fc.array(fc.nat(), { maxLength: 20 }), async (sent, end, cuts) => {
      const text = sent
        .map(({ event, lines }) => [`event: ${event}`, ...lines.map((data) => `data: ${data}`), '', ''].join(end))
        .join('')
      const { length } = new TextEncoder().encode(text)
      const expected = sent.map(({ event, lines }) => ({ event, data: lines.join('\n') }))
      expect(
        await read(
          text,
          cuts.map((cut) => cut % (length + 1)),
        ),
      ).toEqual(expected)
    }),
  )
})
