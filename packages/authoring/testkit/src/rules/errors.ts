import type { ErrorCode } from '@ecokit/contracts'
import type { Answer } from '../platform.ts'
import type { Outcome, Probe } from '../probes.ts'
import type { Rule, RuleContext } from '../types.ts'

/** What each status means where the connector does not say otherwise (contracts, ErrorDetails). */
const codes: Readonly<Record<number, ErrorCode>> = {
  400: 'rejected',
  401: 'unauthenticated',
  403: 'forbidden',
  429: 'rate_limited',
  500: 'unavailable',
  503: 'unavailable',
}

/** Makes every probe against a server that always answers the same, and looks at how each ends. */
const against = async (
  context: RuleContext,
  name: string,
  answer: Answer,
  look: (outcome: Outcome, probe: Probe) => void,
  kinds?: readonly Probe['kind'][],
) => {
  const { connect, platform, probes, within, fail } = context
  const broken = await platform(() => answer)
  const connection = connect({ config: broken.config })
  for (const probe of probes(kinds)) {
    const before = broken.seen.length
    const outcome = await within(`${probe.name}, with ${name},`, probe.run(connection))
    if (broken.seen.length === before && outcome.ended === 'well') continue
    if (outcome.ended === 'badly') {
      if (outcome.code === 'internal')
        fail(`${probe.name}, with ${name}, lets a fault of its own out: ${outcome.message}`)
      if (probe.kind !== 'check' && !outcome.message.startsWith(`${connection.name}: `))
        fail(`${probe.name}, with ${name}, does not name the partner: ${outcome.message}`)
      if (/\n\s+at /.test(outcome.message)) fail(`${probe.name}, with ${name}, shows a stack trace`)
    }
    look(outcome, probe)
  }
}

const garbage: Readonly<Record<string, Answer>> = {
  'a page of HTML': {
    kind: 'reply',
    status: 200,
    headers: { 'content-type': 'text/html' },
    body: '<html><title>Sign in</title></html>',
  },
  'JSON that is cut off': { kind: 'reply', status: 200, body: '{"items": [{"id": ' },
  'bytes that are no text': { kind: 'reply', status: 200, body: '\u0000\u0001\ufffd' },
}
const misshapen: Readonly<Record<string, Answer>> = {
  'a list': { kind: 'reply', status: 200, body: '[]' },
  null: { kind: 'reply', status: 200, body: 'null' },
  'a number': { kind: 'reply', status: 200, body: '7' },
  'an object of strangers': { kind: 'reply', status: 200, body: '{"unexpected":{"deep":[1,2,3]}}' },
  nothing: { kind: 'reply', status: 200 },
  'no content': { kind: 'reply', status: 204 },
}
const broken: Readonly<Record<string, Answer>> = {
  'a closed socket': { kind: 'drop' },
  'a reply that breaks off': { kind: 'truncate', body: '{"items": [' },
  'something that is no HTTP': { kind: 'noise' },
}

export const errorRules: readonly Rule[] = [
  {
    id: 'errors.status',
    title: 'Each HTTP status ends every call with its code',
    run: async (context) => {
      const table = { ...codes, ...context.options.statuses }
      for (const [status, code] of Object.entries(table)) {
        const body = '{"error":"no","message":"no"}'
        await against(
          context,
          `status ${status}`,
          { kind: 'reply', status: Number(status), body },
          (outcome, { name }) => {
            const seen = outcome.ended === 'well' ? 'ok' : outcome.code
            if (seen !== code)
              context.fail(`${name} ends with ${seen} and not ${code} when the partner answers ${status}`)
          },
        )
      }
    },
  },
  {
    id: 'errors.garbage',
    title: 'What is no reply of this partner is never taken for one',
    run: async (context) => {
      for (const [name, answer] of Object.entries(garbage))
        await against(
          context,
          name,
          answer,
          (outcome, probe) => {
            if (outcome.ended === 'well' && !probe.bytes) context.fail(`${probe.name} takes ${name} for an answer`)
          },
          // The check has a rule of its own.
          ['read', 'write', 'stream'],
        )
    },
  },
  {
    id: 'errors.shape',
    title: 'JSON of another shape ends in a typed error or in an empty answer, never in a fault of the connector',
    run: async (context) => {
      for (const [name, answer] of Object.entries(misshapen)) await against(context, name, answer, () => undefined)
    },
  },
  {
    id: 'errors.broken',
    title: 'A connection that breaks is unavailable or an invalid reply',
    run: async (context) => {
      for (const [name, answer] of Object.entries(broken))
        await against(context, name, answer, (outcome, probe) => {
          if (outcome.ended === 'well') {
            if (!probe.bytes || name !== 'a reply that breaks off') context.fail(`${probe.name} ends well with ${name}`)
          } else if (outcome.code !== 'unavailable' && outcome.code !== 'invalid_reply')
            context.fail(`${probe.name} ends with ${outcome.code} with ${name}`)
        })
    },
  },
  {
    id: 'errors.retry-after',
    title: 'A reading call that is told to slow down waits as long as it was told, and tries again',
    run: async (context) => {
      const { connect, platform, probes, within, fail } = context
      for (const probe of probes(['check', 'read', 'stream'])) {
        const busy = await platform((_seen, index) =>
          index === 0
            ? { kind: 'reply', status: 429, headers: { 'retry-after': '7' } }
            : { kind: 'reply', status: 404, body: '{}' },
        )
        let slept = 0
        // A clock that runs ahead: waiting is noted, not done.
        const clock = {
          now: () => Date.now() + slept,
          sleep: (ms: number) => {
            slept += ms
            return Promise.resolve()
          },
        }
        await within(probe.name, probe.run(connect({ config: busy.config, runtime: { clock } })))
        const [first, second] = busy.seen
        if (first === undefined) continue
        if (second?.path !== first.path || second.method !== first.method)
          fail(`${probe.name} does not try again; say \`effect: 'read'\` in its request when it is no GET`)
        if (slept < 7000) fail(`${probe.name} waits ${slept} ms when it was told to wait 7 s`)
      }
    },
  },
  {
    id: 'errors.middle',
    title: 'A fault in the middle of a sequence ends it with its code, after what came before it',
    run: async (context) => {
      const { connect, platform, probes, within, fail, skip } = context
      let tried = 0
      for (const probe of probes(['read', 'stream']).filter(({ many }) => many)) {
        const failing = await platform((_seen, index) =>
          index === 0 ? { kind: 'pass' } : { kind: 'reply', status: 403, body: '{}' },
        )
        const outcome = await within(probe.name, probe.run(connect({ config: failing.config })))
        if (failing.seen.length < 2) continue
        tried += 1
        const expected = context.options.statuses?.[403] ?? 'forbidden'
        const seen = outcome.ended === 'well' ? 'ok' : outcome.code
        if (seen !== expected)
          fail(`${probe.name} ends with ${seen} and not ${expected} when its second request is answered with 403`)
      }
      if (tried === 0) skip('no sequence sends a second request')
    },
  },
]
