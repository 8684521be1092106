import type { AnyRecord, Batch, Manifest, ReadOptions } from '@ecokit/contracts'
import { countBatch, recordChecker } from './data.ts'
import { missing, own, unsupported } from './known.ts'
import { sequence } from './line.ts'
import type { Line } from './line.ts'
import type { RestReading } from './rest/pass.ts'
import type { AnySession } from './session.ts'

/** What a declared stream is read with; its reader is loaded by the first read. */
const restRead = async function* (reading: RestReading): AsyncGenerator<Batch<unknown>> {
  const { readRest } = await import('./rest/read.ts')
  yield* readRest(reading)
}

/** Batches as `check` leaves them. */
const checked = async function* (
  batches: AsyncIterable<Batch<unknown>>,
  check: ReturnType<typeof recordChecker>,
): AsyncGenerator<Batch<AnyRecord>> {
  for await (const batch of batches) yield await check(batch)
}

/** The reads of a connection: declared streams by connect itself, others by the connector's code, checked batch by batch. */
export const wrapRead =
  (line: Line, manifest: Manifest, session: AnySession, way: Omit<RestReading, 'name' | 'options'>) =>
  (name: string, options: ReadOptions = {}) => {
    const { partner } = line
    const declared = own(manifest.streams, name)
    let check: ReturnType<typeof recordChecker>
    return sequence(line, { kind: 'read', name, effect: 'read' } as const, {
      accept: () => {
        // What connect reads itself is checked where it is read.
        if (declared?.rest !== undefined) return
        if (declared !== undefined) check = recordChecker(partner, name, declared, options)
        else if (manifest.discovers !== true)
          throw unsupported(partner, `stream ${name}`, Object.keys(manifest.streams ?? {}))
      },
      perform: (_input, signal) => {
        const given = { ...options, signal }
        if (declared?.rest !== undefined) return restRead({ ...way, name, options: given })
        const read = declared === undefined ? undefined : own(session.read, name)
        if (read !== undefined) return checked(read(given), check)
        if (declared !== undefined || session.readDiscovered === undefined) throw missing(partner, `the stream ${name}`)
        return session.readDiscovered(name, given)
      },
      verify: (batch) => batch as Batch<AnyRecord>,
      count: countBatch,
    })(undefined, options)
  }
