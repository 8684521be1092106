import { isIntegrationError, jsonSchema } from '@ecokit/contracts'
import type { AnyConnection, CallOptions, ErrorCode, Manifest } from '@ecokit/contracts'
import type { ZodType } from 'zod'
import type { ConformanceOptions } from './types.ts'

/** How a call ended. */
export type Outcome =
  | { readonly ended: 'well'; readonly items: number }
  | { readonly ended: 'badly'; readonly code: ErrorCode; readonly message: string; readonly error: unknown }

/** A call that the kit can make on any connection of this connector. */
export interface Probe {
  /** For people: `check`, `runs.search`, `stream runs`. */
  readonly name: string
  readonly kind: 'check' | 'read' | 'write' | 'stream'
  /** True where the answer is a sequence. */
  readonly many: boolean
  /** True where a reply is bytes, so that any reply will do. */
  readonly bytes: boolean
  /** Makes the call; a sequence is drained, up to `limit` items. Never throws. */
  run(connection: AnyConnection, options?: CallOptions & { readonly limit?: number }): Promise<Outcome>
}

const badly = (error: unknown): Outcome =>
  isIntegrationError(error)
    ? { ended: 'badly', code: error.code, message: error.message, error }
    : {
        ended: 'badly',
        code: 'internal',
        message: error instanceof Error ? error.message : 'no error was thrown',
        error,
      }

const attempt = async (work: () => Promise<number>): Promise<Outcome> => {
  try {
    return { ended: 'well', items: await work() }
  } catch (error) {
    return badly(error)
  }
}

const drain = async (sequence: AsyncIterable<unknown>, limit = Infinity): Promise<number> => {
  let items = 0
  for await (const _item of sequence) {
    items += 1
    if (items >= limit) break
  }
  return items
}

async function* none(): AsyncGenerator<never> {}

const discard = async (value: unknown): Promise<void> => {
  if (value instanceof ReadableStream) await value.cancel()
}

const holdsBytes = (schema: ZodType): boolean => JSON.stringify(jsonSchema(schema)).includes('"bytes":true')

export const operationsOf = (manifest: Manifest) =>
  Object.entries(manifest.provides ?? {}).flatMap(([capability, { operations }]) =>
    Object.entries(operations).map(([name, operation]) => ({
      name: `${capability}.${name}`,
      capability,
      operationName: name,
      operation,
    })),
  )

/** Every call that the options give the kit the means to make. */
export const probesOf = (manifest: Manifest, options: ConformanceOptions): readonly Probe[] => {
  const without = options.without ?? {}
  const check: Probe = {
    name: 'check',
    kind: 'check',
    many: false,
    bytes: false,
    run: async (connection, call) => {
      try {
        const health = await connection.check(call)
        const { status, code = 'internal', message = '' } = health
        return status === 'healthy' ? { ended: 'well', items: 1 } : { ended: 'badly', code, message, error: health }
      } catch (error) {
        return badly(error)
      }
    },
  }
  const operations = operationsOf(manifest)
    .filter(({ name }) => !Object.hasOwn(without, name) && Object.hasOwn(options.samples ?? {}, name))
    .map(({ name, capability, operationName, operation }): Probe => {
      const input = options.samples?.[name]
      return {
        name,
        kind: operation.effect === 'read' ? 'read' : 'write',
        many: operation.many,
        bytes: holdsBytes(operation.output),
        run: (connection, call) =>
          attempt(async () => {
            const answer = connection.call(capability, operationName, input, call)
            if (operation.many) return drain(answer as AsyncIterable<unknown>, call?.limit)
            await discard(await answer)
            return 1
          }),
      }
    })
  const streams = Object.keys(manifest.streams ?? {})
    .filter((name) => !Object.hasOwn(without, name))
    .map((name): Probe => {
      const readOptions = options.streams?.[name]?.options ?? {}
      return {
        name: `stream ${name}`,
        kind: 'stream',
        many: true,
        bytes: false,
        run: (connection, call) =>
          attempt(async () =>
            drain(connection.read?.(name, { ...readOptions, signal: call?.signal }) ?? none(), call?.limit),
          ),
      }
    })
  return [check, ...operations, ...streams]
}
