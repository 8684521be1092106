import type { Rule } from '../types.ts'

export const closeRules: readonly Rule[] = [
  {
    id: 'close.twice',
    title: 'A connection can be closed, used or not, more than once, and refuses every call from then on',
    run: async ({ connect, probes, within, fail }) => {
      const unused = connect()
      await within('close', unused.close())
      const used = connect()
      await within('the check', used.check())
      await within('close', Promise.all([used.close(), used.close()]))
      await within('close', used.close())
      for (const probe of probes()) {
        const outcome = await within(probe.name, probe.run(used))
        if (outcome.ended === 'well' || outcome.code !== 'cancelled')
          fail(`${probe.name} does not fail with cancelled after close`)
      }
    },
  },
  {
    id: 'close.pending',
    title: 'Close ends what waits, with cancelled',
    run: async ({ connect, platform, probes, until, within, fail }) => {
      for (const probe of probes()) {
        const hanging = await platform(() => ({ kind: 'hang' }))
        const connection = connect({ config: hanging.config })
        let ended = false
        const running = probe.run(connection).finally(() => (ended = true))
        await until(`${probe.name} neither ends nor sends a request`, () => ended || hanging.waiting() > 0)
        await within('close', connection.close())
        const outcome = await within(`${probe.name}, after close,`, running)
        if (outcome.ended === 'badly' && outcome.code !== 'cancelled')
          fail(`${probe.name} ends with ${outcome.code} at close: ${outcome.message}`)
        await until(`${probe.name} leaves its request waiting after close`, () => hanging.waiting() === 0)
      }
    },
  },
  {
    id: 'close.sockets',
    title: 'After work that went well close frees every socket',
    run: async ({ connect, platform, probes, until, within }) => {
      const proxy = await platform(() => ({ kind: 'pass' }))
      const connection = connect({ config: proxy.config })
      for (const probe of probes(['check', 'read', 'stream']))
        await within(probe.name, probe.run(connection, { limit: 2 }))
      await within('close', connection.close())
      await until('a socket stays open after close', () => proxy.sockets() === 0)
    },
  },
]
