import type { Probe } from '../probes.ts'
import type { Rule, RuleContext } from '../types.ts'

/** Cancels a probe while the partner keeps it waiting at the request `from`, and sees that nothing stays behind. False where it came to its end before. */
const cancelWhileWaiting = async (context: RuleContext, probe: Probe, from: number): Promise<boolean> => {
  const { connect, platform, until, within, fail } = context
  const hanging = await platform((_seen, index) => ({ kind: index < from ? 'pass' : 'hang' }))
  const connection = connect({ config: hanging.config })
  const controller = new AbortController()
  const state = { ended: false }
  const running = probe.run(connection, { signal: controller.signal }).finally(() => (state.ended = true))
  await until(`${probe.name} neither ends nor sends a request`, () => state.ended || hanging.seen.length > from)
  if (state.ended) return false
  controller.abort()
  const outcome = await within(`${probe.name}, after it was cancelled,`, running)
  if (outcome.ended === 'well' || outcome.code !== 'cancelled')
    return fail(
      `${probe.name} ended ${outcome.ended === 'well' ? 'well' : `with ${outcome.code}: ${outcome.message}`} instead of cancelled`,
    )
  await until(`${probe.name} leaves its request waiting after it was cancelled`, () => hanging.waiting() === 0)
  return true
}

const cancelEach = async (context: RuleContext, kinds: readonly Probe['kind'][], from: number, nothing: string) => {
  let tried = 0
  for (const probe of context.probes(kinds)) if (await cancelWhileWaiting(context, probe, from)) tried += 1
  if (tried === 0) context.skip(nothing)
}

export const cancellationRules: readonly Rule[] = [
  {
    id: 'cancel.operations',
    title: 'An operation whose partner hangs ends with cancelled when it is aborted, and frees its socket',
    applies: (manifest) => manifest.provides !== undefined && manifest.hosts.length > 0,
    run: (context) => cancelEach(context, ['read', 'write'], 0, 'no operation sends a request'),
  },
  {
    id: 'cancel.streams',
    title: 'A stream whose partner hangs ends with cancelled when it is aborted, and frees its socket',
    applies: (manifest) => manifest.streams !== undefined && manifest.hosts.length > 0,
    run: (context) => cancelEach(context, ['stream'], 0, 'no stream sends a request'),
  },
  {
    id: 'cancel.middle',
    title: 'The same holds when the partner hangs in the middle of a sequence',
    applies: (manifest) => manifest.hosts.length > 0,
    run: (context) => cancelEach(context, ['read', 'stream'], 1, 'no call sends a second request'),
  },
]
