import { operationsOf } from '../probes.ts'
import type { Rule } from '../types.ts'

export const operationRules: readonly Rule[] = [
  {
    id: 'operations.samples',
    title: 'Every operation that reads has a sample, is called with it, and answers what its schema says',
    applies: (manifest) => manifest.provides !== undefined,
    run: async ({ connect, manifest, options, probes, within, fail }) => {
      for (const { name, operation } of operationsOf(manifest))
        if (operation.effect === 'read' && !(name in (options.samples ?? {})) && !(name in (options.without ?? {})))
          fail(`${name} has no sample; give one, or say in \`without\` why not`)
      for (const name of Object.keys(options.samples ?? {}))
        if (!operationsOf(manifest).some((operation) => operation.name === name))
          fail(`there is a sample for ${name}, which does not exist`)
      const connection = connect()
      for (const probe of probes(['read', 'write'])) {
        const outcome = await within(probe.name, probe.run(connection))
        if (outcome.ended === 'badly') fail(`${probe.name}: ${outcome.message}`)
      }
    },
  },
  {
    id: 'operations.input',
    title: 'Input with an unknown key is refused by its name before anything is sent',
    applies: (manifest) => manifest.provides !== undefined,
    run: async ({ connect, platform, manifest, within, options, fail }) => {
      let requests = 0
      const runtime = { observe: () => (requests += 1) }
      // What a connector lets through must not reach a partner: it may be the call that deletes everything.
      const local = manifest.hosts.length === 0
      const safe = local ? undefined : await platform(() => ({ kind: 'reply', status: 403 }))
      const connection = connect({ runtime, ...(safe !== undefined && { config: safe.config }) })
      const operations = operationsOf(manifest).filter(({ operation }) => !local || operation.effect === 'read')
      for (const { name, capability, operationName, operation } of operations) {
        const input = { ...(options.samples?.[name] as object | undefined), misspelt_key: 1 }
        const refused = async () => {
          try {
            const answer = connection.call(capability, operationName, input)
            if (operation.many) for await (const item of answer as AsyncIterable<unknown>) return String(item)
            else await answer
          } catch (error) {
            return (error as Error).message
          }
          return ''
        }
        const message = await within(name, refused())
        if (requests > 0) fail(`${name} sends a request for input that is wrong`)
        if (!message.includes(name)) fail(`${name} takes input with an unknown key`)
      }
    },
  },
  {
    id: 'operations.stop',
    title: 'Every sequence can be left after one item: no request follows, none is left waiting',
    run: async ({ connect, platform, manifest, probes, within, until, fail, skip }) => {
      const sequences = probes(['read', 'stream']).filter(({ many }) => many)
      if (sequences.length === 0) skip('nothing answers with a sequence')
      const proxy = manifest.hosts.length === 0 ? undefined : await platform(() => ({ kind: 'pass' }))
      const connection = connect(proxy === undefined ? {} : { config: proxy.config })
      for (const probe of sequences) {
        const outcome = await within(probe.name, probe.run(connection, { limit: 1 }))
        if (outcome.ended === 'badly') return fail(`${probe.name}: ${outcome.message}`)
        if (proxy === undefined) continue
        const sent = proxy.seen.length
        // A way there and back: what was sent before has arrived then.
        const barrier = connection.http().request({ method: 'GET', path: 'conformance-barrier' })
        await barrier.then(({ body }) => body.cancel()).catch(() => undefined)
        const later = proxy.seen.slice(sent).filter(({ path }) => !path.endsWith('conformance-barrier'))
        if (later.length > 0) fail(`${probe.name} goes on asking after it was left`)
        await until(`${probe.name} leaves a request behind`, () => proxy.waiting() === 0)
      }
    },
  },
]
