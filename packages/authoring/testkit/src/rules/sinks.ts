import { isDeepStrictEqual } from 'node:util'
import { isIntegrationError, toJson } from '@ecokit/contracts'
import { batchFor, benchOf, can, eachBench, encode, expectRows, first, put, writable } from '../sink-bench.ts'
import type { Rule } from '../types.ts'

const hasSinks: NonNullable<Rule['applies']> = (manifest) => manifest.sinks !== undefined

export const sinkRules: readonly Rule[] = [
  {
    id: 'sinks.samples',
    title: 'Every sink has a sample',
    applies: hasSinks,
    run: ({ manifest, options, fail }) => {
      for (const name of Object.keys(manifest.sinks ?? {}))
        if (options.sinks?.[name] === undefined && options.without?.[name] === undefined)
          fail(`${name} has no sample; give one, or say in \`without\` why not`)
      for (const [name, sample] of Object.entries(options.sinks ?? {}))
        if (sample.records.length < 2) fail(`the sample of ${name} needs two records or more`)
    },
  },
  {
    id: 'sinks.round-trip',
    title: 'What is written and committed is there, in every encoding that the sink takes',
    applies: hasSinks,
    run: (context) =>
      eachBench(
        context,
        () => true,
        async ({ name, sink, sample }) => {
          for (const encoding of writable(sink)) {
            const bench = benchOf(context, name, sink, sample)
            const options = bench.options(first(sink))
            const rows = await bench.writing(options, async (writer) => {
              const written = await writer.write(encode(encoding, sample.records))
              await writer.commit(undefined, { final: true })
              return written.rows
            })
            if (rows !== sample.records.length)
              context.fail(
                `${name}: ${rows} rows are reported and ${sample.records.length} were written as ${encoding}`,
              )
            await expectRows(context, bench, sample.records, `after writing ${encoding}`)
          }
        },
      ),
  },
  {
    id: 'sinks.resume',
    title: 'The checkpoint of the last commit is given back under its key, to another connection too',
    applies: hasSinks,
    run: (context) =>
      eachBench(
        context,
        (sink) => sink.commit !== 'at_least_once',
        async (bench) => {
          const options = bench.options(first(bench.sink))
          const checkpoint = { at: 'a', nested: { list: [1, null] } }
          const before = await bench.writing(options, (writer) => writer.resumesFrom())
          if (before !== undefined) context.fail(`${bench.name}: a checkpoint is there before anything was committed`)
          await put(bench, options, bench.sample.records, false, checkpoint)
          await bench.connection.close()
          const again = { ...bench, connection: context.connect() }
          const other = benchOf(context, bench.name, again.sink, again.sample)
          const found = await other.writing(options, (writer) => writer.resumesFrom())
          if (!isDeepStrictEqual(found, checkpoint))
            context.fail(`${bench.name}: resumesFrom gives ${toJson(found ?? null)} and not ${toJson(checkpoint)}`)
          const strange = await other.writing({ ...options, key: `${options.key}-other` }, (writer) =>
            writer.resumesFrom(),
          )
          if (strange !== undefined)
            context.fail(`${bench.name}: a checkpoint is given under a key that it was not kept under`)
        },
      ),
  },
  {
    id: 'sinks.uncommitted',
    title: 'What was written and not committed is gone, and so is its checkpoint',
    applies: hasSinks,
    run: (context) =>
      eachBench(
        context,
        ({ commit }) => commit === 'transaction',
        async (bench) => {
          const { sample, sink } = bench
          const options = bench.options(can('append')(sink) ? 'append' : first(sink))
          const [one, ...rest] = sample.records
          await put(bench, options, rest, true)
          await bench.writing(options, (writer) => writer.write(batchFor(sink, one === undefined ? [] : [one])))
          await expectRows(context, bench, rest, 'after a write without commit')
        },
      ),
  },
  {
    id: 'sinks.append',
    title: 'Append adds to what is there',
    applies: hasSinks,
    run: (context) =>
      eachBench(context, can('append'), async (bench) => {
        const { records } = bench.sample
        await put(bench, bench.options('append'), records.slice(0, 1))
        await put(bench, bench.options('append'), records.slice(1))
        await expectRows(context, bench, records, 'after two appends')
      }),
  },
  {
    id: 'sinks.overwrite',
    title: 'Overwrite replaces everything, and not before the last commit of the pass',
    applies: hasSinks,
    run: (context) =>
      eachBench(context, can('overwrite'), async (bench) => {
        const { records } = bench.sample
        const options = bench.options('overwrite')
        await put(bench, options, records.slice(0, 1))
        await bench.writing(options, async (writer) => {
          await writer.write(batchFor(bench.sink, records.slice(1)))
          await writer.commit({ at: 2 }, { final: false })
          await expectRows(context, bench, records.slice(0, 1), 'in the middle of an overwrite')
          await writer.commit({ at: 3 }, { final: true })
        })
        await expectRows(context, bench, records.slice(1), 'after an overwrite')
      }),
  },
  {
    id: 'sinks.merge',
    title: 'Merge replaces by primary key, adds what is new, and a replay changes nothing',
    applies: hasSinks,
    run: (context) =>
      eachBench(
        context,
        (sink, { changed }) => can('merge')(sink) && changed !== undefined,
        async (bench) => {
          const { records, changed } = bench.sample
          const options = bench.options('merge')
          await put(bench, options, records.slice(0, 1))
          const next = [changed ?? {}, ...records.slice(1)]
          await put(bench, options, next)
          await expectRows(context, bench, next, 'after a merge')
          await put(bench, options, next)
          await expectRows(context, bench, next, 'after the same merge again')
        },
      ),
  },
  {
    id: 'sinks.deletes',
    title: 'Merge removes the rows whose keys a batch says are gone',
    applies: hasSinks,
    run: (context) =>
      eachBench(context, can('merge'), async (bench) => {
        const { records, table } = bench.sample
        const options = bench.options('merge')
        await put(bench, options, records)
        const gone = Object.fromEntries((table.primaryKey ?? []).map((field) => [field, records[0]?.[field]]))
        await bench.writing(options, async (writer) => {
          await writer.write({ ...batchFor(bench.sink, []), deleted: [gone] })
          await writer.commit({ at: 2 }, { final: false })
        })
        await expectRows(context, bench, records.slice(1), 'after a delete')
      }),
  },
  {
    id: 'sinks.prune',
    title: 'A complete pass with prune removes what it did not bring, at its last commit',
    applies: hasSinks,
    run: (context) =>
      eachBench(
        context,
        (sink) => can('merge')(sink) && sink.prunes !== false,
        async (bench) => {
          const { records } = bench.sample
          await put(bench, bench.options('merge'), records)
          const options = bench.options('merge', { prune: true })
          await bench.writing(options, async (writer) => {
            await writer.write(batchFor(bench.sink, records.slice(1)))
            await writer.commit({ at: 2 }, { final: false })
            await expectRows(context, bench, records, 'before the last commit of a pass with prune')
            await writer.commit({ at: 3 }, { final: true })
          })
          await expectRows(context, bench, records.slice(1), 'after a pass with prune')
        },
      ),
  },
  {
    id: 'sinks.rejected',
    title: 'A record that the sink refuses is reported by its index with a reason, and the others are stored',
    applies: hasSinks,
    run: (context) =>
      eachBench(
        context,
        (_sink, { refused }) => refused !== undefined,
        async (bench) => {
          const { records, refused } = bench.sample
          const [one, ...rest] = records
          const batch = [one ?? {}, refused ?? {}, ...rest]
          const written = await put(bench, bench.options(first(bench.sink)), batch)
          const [rejected, ...others] = written.rejected
          if (rejected?.index !== 1 || others.length > 0 || rejected.reason.trim() === '')
            context.fail(
              `${bench.name}: rejected is ${toJson(written.rejected)} and not one entry of index 1 with a reason`,
            )
          if (written.rows !== records.length)
            context.fail(`${bench.name}: ${written.rows} rows are reported and ${records.length} fit`)
          await expectRows(context, bench, records, 'after a batch with a record that was refused')
        },
      ),
  },
  {
    id: 'sinks.cancel',
    title: 'A commit whose partner hangs ends with cancelled when it is aborted, and frees its socket',
    applies: (manifest) => manifest.sinks !== undefined && manifest.hosts.length > 0,
    run: (context) =>
      eachBench(
        context,
        () => true,
        async ({ name, sink, sample, options }) => {
          const hanging = await context.platform(() => ({ kind: 'hang' }))
          const connection = context.connect({ config: hanging.config })
          const controller = new AbortController()
          const { signal } = controller
          const state = { ended: false }
          const work = async () => {
            const writer = await connection.write?.(name, { ...options(first(sink)), signal })
            await writer?.write(batchFor(sink, sample.records), { signal })
            await writer?.commit({ at: 1 }, { signal, final: true })
          }
          const running = work()
            .catch((error: unknown) => error)
            .finally(() => (state.ended = true))
          await context.until(`${name} neither ends nor sends a request`, () => state.ended || hanging.waiting() > 0)
          if (state.ended) return
          controller.abort()
          const error = await context.within(`${name}, after it was cancelled,`, running)
          if (!isIntegrationError(error, 'cancelled')) context.fail(`${name} does not end with cancelled`)
          await context.until(
            `${name} leaves its request waiting after it was cancelled`,
            () => hanging.waiting() === 0,
          )
        },
      ),
  },
]
