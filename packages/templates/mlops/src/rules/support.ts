import { Buffer } from 'node:buffer'
import { isIntegrationError } from '@ecokit/contracts'
import type { AnyConnection, Api, Capability, ErrorCode, Manifest } from '@ecokit/contracts'
import type { Rule, RuleContext } from '@ecokit/testkit'

/** Under which key a manifest provides a capability of this template. */
export const keyOf = (manifest: Manifest, capability: Capability): string | undefined =>
  Object.entries(manifest.provides ?? {}).find(
    ([, provided]) => provided.id === capability.id && provided.version === capability.version,
  )?.[0]

export interface Subject<C> {
  readonly context: RuleContext
  readonly api: Api<C>
  /** The API of another capability on the same connection; the rule is about nothing where there is none. */
  readonly other: <D extends Capability>(capability: D) => Api<D>
  /** The sample input of one of the capability's operations; the rule is about nothing where there is none. */
  readonly sample: (operation: string) => Readonly<Record<string, unknown>>
}

/** A rule about one capability. */
export const about = <C extends Capability>(
  capability: C,
  rule: { readonly id: string; readonly title: string; readonly run: (subject: Subject<C>) => Promise<void> },
): Rule => ({
  id: rule.id,
  title: rule.title,
  applies: (manifest) => keyOf(manifest, capability) !== undefined,
  run: async (context) => {
    const { manifest, options, skip } = context
    const connection = context.connect()
    const apiOf = <D extends Capability>(wanted: D): Api<D> => {
      const key = keyOf(manifest, wanted)
      if (key === undefined) return skip(`it does not provide ${wanted.id}`)
      return (connection as AnyConnection & Readonly<Record<string, unknown>>)[key] as Api<D>
    }
    const sample = (operation: string) => {
      const name = `${keyOf(manifest, capability) ?? ''}.${operation}`
      const input = Object.hasOwn(options.without ?? {}, name) ? undefined : options.samples?.[name]
      return input === undefined ? skip(`there is no sample for ${name}`) : (input as Readonly<Record<string, unknown>>)
    }
    await context.within(rule.id, rule.run({ context, api: apiOf(capability), other: apiOf, sample }))
  },
})

/** The first items of a sequence. */
export const take = async <T>(sequence: AsyncIterable<T>, most: number): Promise<T[]> => {
  const items: T[] = []
  for await (const item of sequence) {
    items.push(item)
    if (items.length >= most) break
  }
  return items
}

/** All bytes of a body. */
export const bytesOf = async (body: Uint8Array | ReadableStream<Uint8Array>): Promise<Uint8Array> => {
  if (body instanceof Uint8Array) return body
  const parts: Uint8Array[] = []
  for await (const part of body) parts.push(part)
  return Buffer.concat(parts)
}

/** Runs into the error of this code, or breaks the rule. */
export const mustFail = async (context: RuleContext, what: string, work: Promise<unknown>, code: ErrorCode) => {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error === undefined) context.fail(`${what} was accepted instead of failing with ${code}`)
  if (isIntegrationError(error, code)) return
  context.fail(`${what} failed with ${isIntegrationError(error) ? error.code : 'another error'} instead of ${code}`)
}

/** Breaks the rule unless both are the same once they are text; NaN is itself. */
export const same = (context: RuleContext, what: string, found: unknown, wanted: unknown): void => {
  const text = (value: unknown) =>
    JSON.stringify(value, (_key, field: unknown) =>
      typeof field === 'bigint' || (typeof field === 'number' && !Number.isFinite(field)) ? String(field) : field,
    )
  if (text(found) !== text(wanted)) context.fail(`${what} is ${text(found)} and not ${text(wanted)}`)
}

/** Distinguishes what one proof writes from what others wrote. */
export const unique = (): string => crypto.randomUUID().slice(0, 8)
