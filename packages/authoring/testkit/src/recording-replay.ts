import { Buffer } from 'node:buffer'
import { integrationError } from '@ecokit/contracts'
import { chunkOf, isSequence, partsOf, undici } from './recording-dispatch.ts'
import type { Controller, Dispatcher, Handler, Options } from './recording-dispatch.ts'
import { readRecording, type RecordedBody, type RecordedExchange } from './recording-file.ts'
import { difference, type Asked } from './recording-match.ts'
import { namesCredential, scrubPairs } from './recording-scrub.ts'

const bytesOf = (body: RecordedBody | undefined): Buffer => {
  if (body === undefined) return Buffer.alloc(0)
  if ('json' in body) return Buffer.from(JSON.stringify(body.json))
  return 'text' in body ? Buffer.from(body.text) : Buffer.from(body.base64, 'base64')
}
const titleOf = ({
  method,
  path,
  query = [],
}: Pick<Asked, 'method' | 'path'> & { readonly query?: Asked['query'] | undefined }): string =>
  // A request that was never recorded may show a credential in its query.
  `${method} ${path}${query.length === 0 ? '' : `?${query.map(([name, value]) => `${name}=${namesCredential(name, 'pair') ? '***' : value}`).join('&')}`}`

/** A dispatcher for `runtime.dispatcher` that reaches no network. */
export type Replayer = Dispatcher & {
  /** Recordings that no request has asked for yet, as `METHOD path?query`. */
  readonly unused: () => readonly string[]
  /** Requests for which there was no recording. */
  readonly missed: () => readonly string[]
  /** Throws `invalid_data` with both lists unless they are empty. */
  readonly done: () => void
}

/**
 * Answers from a recording. Each recording answers once, those of the same request in their order: method, path, query in any order, and a body that has everything that the recorded one has (JSON; more fields do not
 * matter) or is the same. A request without a recording fails with `unsupported`, which says what it was and what comes closest.
 */
export const replayExchanges = (file: string): Replayer => {
  const { Dispatcher } = undici()
  const exchanges = readRecording(file)
  const left = new Set(exchanges)
  const missed: string[] = []
  let first: string | undefined

  const answerTo = (asked: Asked): RecordedExchange => {
    for (const one of left)
      if (difference(one, asked) === undefined) {
        left.delete(one)
        return one
      }
    const title = titleOf(asked)
    missed.push(title)
    const near = exchanges.filter((one) => difference(one, asked) !== 'method or path')
    const used = near.some((one) => difference(one, asked) === undefined)
    const [closest] = near
    const why = used
      ? 'all its recordings were used'
      : closest === undefined
        ? 'nothing was recorded for this method and path'
        : `what was recorded has another ${difference(closest, asked) ?? ''}: ${titleOf(closest.request)}`
    throw integrationError('unsupported', {
      what: `no recording in ${file} answers ${title}: ${why}`,
      next: 'Record it again with recordExchanges, or mend the request',
      details: { what: title },
    })
  }
  const answer = async (options: Options, handler: Handler): Promise<void> => {
    const state: { reason: Error | undefined; wake: (() => void) | undefined; paused: boolean } = {
      reason: undefined,
      wake: undefined,
      paused: false,
    }
    const wake = () => {
      state.paused = false
      state.wake?.()
    }
    const controller: Controller = {
      get aborted() {
        return state.reason !== undefined
      },
      get paused() {
        return state.paused
      },
      get reason() {
        return state.reason ?? null
      },
      abort: (reason) => {
        state.reason ??= reason
        wake()
      },
      pause: () => (state.paused = true),
      resume: wake,
    }
    const running = async () => {
      if (state.paused) await new Promise<void>((resolve) => (state.wake = resolve))
      if (state.reason !== undefined) throw state.reason
    }
    try {
      handler.onRequestStart?.(controller, {})
      first ??= partsOf(options, undefined).from
      const { origin, path, query } = partsOf(options, first)
      const sent: Buffer[] = []
      const { body } = options
      if (isSequence(body)) for await (const chunk of body as AsyncIterable<unknown>) sent.push(chunkOf(chunk))
      else if (body !== null && body !== undefined) sent.push(chunkOf(body))
      await running()
      const sorted = scrubPairs(query, (text) => text)
      const { reply } = answerTo({ method: options.method, origin, path, query: sorted, body: Buffer.concat(sent) })
      const bytes = bytesOf(reply.body)
      handler.onResponseStart?.(controller, reply.status, { ...reply.headers, 'content-length': String(bytes.length) })
      await running()
      if (bytes.length > 0 && options.method !== 'HEAD') handler.onResponseData?.(controller, bytes)
      await running()
      handler.onResponseEnd?.(controller, {})
    } catch (error) {
      handler.onResponseError?.(controller, error as Error)
    }
  }
  const unused = () => [...left].map(({ request }) => titleOf(request))
  return Object.assign(new Dispatcher(), {
    dispatch: (options: Options, handler: Handler): boolean => {
      void answer(options, handler)
      return true
    },
    close: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
    unused,
    missed: () => missed,
    done: () => {
      if (left.size === 0 && missed.length === 0) return
      throw integrationError('invalid_data', {
        what: [
          ...(missed.length === 0 ? [] : [`asked for and not in the recording: ${missed.join(', ')}`]),
          ...(left.size === 0 ? [] : [`in the recording and never asked for: ${unused().join(', ')}`]),
        ].join('; '),
        next: 'Record it again with recordExchanges, or mend the requests',
        details: { stream: file, field: 'exchanges' },
      })
    },
  })
}
