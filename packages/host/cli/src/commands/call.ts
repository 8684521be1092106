import { text } from 'node:stream/consumers'
import { fromJson, toJson } from '@ecokit/contracts'
import type { AnyConnection, Operation } from '@ecokit/contracts'
import { bytesOf } from '@ecokit/server/ecosystem'
import { withRuntime } from '../open.ts'
import type { Terminal } from '../output/terminal.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

export interface CallOptions {
  readonly limit?: number
  readonly yes: boolean
}

/** An operation of a connection, found by its name on a command line. */
const find = ({ name, manifest }: AnyConnection, words: string) => {
  const capabilities = Object.entries(manifest.provides ?? {})
  const all = capabilities.flatMap(([key, { operations }]) =>
    Object.entries(operations).map(([operation, declared]) => ({ key, operation, declared })),
  )
  const found = all.find(({ key, operation }) => `${key}.${operation}` === words)
  if (found !== undefined) return found
  const choices = all.map(({ key, operation }) => `${key}.${operation}`).join(', ')
  throw new UsageError(
    `${name}: there is no operation ${words}. ${choices === '' ? `Its connector ${manifest.id} has none` : `Choose from: ${choices}`}`,
  )
}

const parseInput = async (given: string): Promise<unknown> => {
  const json = given === '-' ? await text(process.stdin) : given
  try {
    return fromJson(json)
  } catch (error) {
    throw new UsageError(`the input is not JSON (${error instanceof Error ? error.message : String(error)})`)
  }
}

/** True where somebody said yes, beforehand or now. */
const confirmed = async (
  terminal: Terminal,
  words: string,
  { effect }: Operation,
  { yes }: CallOptions,
  signal: AbortSignal,
): Promise<boolean> => {
  if (effect === 'read' || yes) return true
  const what = `${words} ${effect === 'write' ? 'changes' : 'removes'} something there`
  if (terminal.ask === undefined) throw new UsageError(`${what}. Add --yes if that is meant`)
  return /^y(es)?$/i.test((await terminal.ask(`${what}. Go on? [y/N] `, signal)).trim())
}

/** The bytes in an answer, under whatever name. */
const bodyOf = (answer: unknown): Uint8Array | ReadableStream<Uint8Array> | undefined =>
  Object.values(answer as Record<string, unknown>).find(
    (value): value is Uint8Array | ReadableStream<Uint8Array> =>
      value instanceof Uint8Array || value instanceof ReadableStream,
  )

const isSequence = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value

/** Calls an operation and prints what it answers. */
export const call = (
  invocation: Invocation,
  partner: string,
  words: string,
  given: string,
  options: CallOptions,
): Promise<number> =>
  withRuntime(invocation, async (runtime, signal) => {
    const { terminal, json } = invocation
    const connection = await runtime.connect(partner)
    try {
      const { key, operation, declared } = find(connection, words)
      const bytes = bytesOf(declared)
      if (bytes.input)
        throw new UsageError(`${words} takes bytes, which a command line does not carry. Call it from code`)
      if (bytes.output && terminal.columns !== undefined)
        throw new UsageError(`${words} gives bytes. Send them to a file: add > name`)
      const input = await parseInput(given)
      if (!(await confirmed(terminal, words, declared, options, signal))) return exits.failed
      const answer = connection.call(key, operation, input, { signal })
      if (!isSequence(answer)) {
        const result = await answer
        const body = bytes.output ? bodyOf(result) : undefined
        if (body === undefined) await terminal.out(`${toJson(result, 2)}\n`)
        else for await (const part of body instanceof Uint8Array ? [body] : body) await terminal.out(part)
        return exits.done
      }
      let count = 0
      if (options.limit !== 0)
        for await (const item of answer) {
          await terminal.out(json ? `${count === 0 ? '[' : ','}\n${toJson(item)}` : `${toJson(item)}\n`)
          if (++count === options.limit) break
        }
      if (json) await terminal.out(count === 0 ? '[]\n' : '\n]\n')
      return exits.done
    } finally {
      await connection.close()
    }
  })
