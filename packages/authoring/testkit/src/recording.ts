import { Buffer } from 'node:buffer'
import { renameSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { integrationError } from '@ecokit/contracts'
import { redactor } from '@ecokit/http'
import { chunkOf, headersOf, isSequence, partsOf, undici } from './recording-dispatch.ts'
import type { Dispatcher, Handler, Headers, Options } from './recording-dispatch.ts'
import { recordingText, type RecordedExchange } from './recording-file.ts'
import { decodedBody, scrubBody, scrubHeaders, scrubPairs, scrubText } from './recording-scrub.ts'

/** A dispatcher for `runtime.dispatcher`, and what it has seen. */
export type Recorder = Dispatcher & {
  /** Exchanges so far. */
  readonly recorded: () => number
  /** Writes the file; `close` does it too. */
  readonly save: () => void
}
export interface RecordOptions {
  /** Where the recording is written when the dispatcher is closed: JSON that can be read, compared and checked in. */
  readonly file: string
  /** Every secret that the exchanges may hold; each is taken out in every encoding before anything is kept. */
  readonly secrets: readonly string[]
  /** What really sends; default an agent of its own. It is not closed. */
  readonly upstream?: Dispatcher
}

/**
 * Passes everything on and writes down what came of it, without secrets: the values given, the headers and fields whose names say that they hold one, and what looks like a token.
 * An exchange whose reply did not come to its end is left out. Throws `internal` instead of writing a file in which a secret would stand.
 */
export const recordExchanges = ({ file, secrets, upstream }: RecordOptions): Recorder => {
  const { Agent, Dispatcher } = undici()
  const redact = redactor(secrets)
  const real = upstream ?? new Agent()
  const exchanges: (RecordedExchange | undefined)[] = []
  let first: string | undefined

  const dispatch = (options: Options, handler: Handler): boolean => {
    first ??= partsOf(options, undefined).from
    const { origin, path, query } = partsOf(options, first)
    const headers = headersOf(options.headers)
    const place = exchanges.push(undefined) - 1
    const sent: Buffer[] = []
    const replied: Buffer[] = []
    let status = 0
    let got: Headers = {}
    const tapped = async function* (body: AsyncIterable<unknown> | Iterable<unknown>) {
      for await (const chunk of body) {
        sent.push(chunkOf(chunk))
        yield chunk
      }
    }
    const { body } = options
    const streamed = isSequence(body)
    if (!streamed && body !== null && body !== undefined) sent.push(chunkOf(body))
    const keep = () => {
      const type = headers['content-type'] ?? ''
      const requestBody = scrubBody(Buffer.concat(sent), type, redact)
      const pairs = scrubPairs(query, redact)
      const keptHeaders = scrubHeaders(headers, 'request', redact)
      const encoding = String(got['content-encoding'] ?? '')
      const whole = Buffer.concat(replied)
      const replyBody = scrubBody(
        encoding === '' ? whole : (decodedBody(whole, encoding) ?? whole),
        String(got['content-type'] ?? ''),
        redact,
      )
      const replyHeaders = scrubHeaders(got, 'reply', redact)
      exchanges[place] = {
        request: {
          method: options.method,
          ...(origin === undefined ? {} : { origin: scrubText(origin, redact) }),
          path: scrubText(path, redact),
          ...(pairs.length === 0 ? {} : { query: pairs }),
          ...(keptHeaders === undefined ? {} : { headers: keptHeaders }),
          ...(requestBody === undefined ? {} : { body: requestBody }),
        },
        reply: {
          status,
          ...(replyHeaders === undefined ? {} : { headers: replyHeaders }),
          ...(replyBody === undefined ? {} : { body: replyBody }),
        },
      }
    }
    return real.dispatch(
      { ...options, ...(streamed ? { body: Readable.from(tapped(body)) } : {}) },
      {
        onRequestStart: (controller, context: unknown) => handler.onRequestStart?.(controller, context),
        onRequestUpgrade: (controller, code, given, socket) =>
          handler.onRequestUpgrade?.(controller, code, given, socket),
        onResponseStart: (controller, code, given, message) => {
          if (code >= 200) {
            status = code
            got = given
          }
          handler.onResponseStart?.(controller, code, given, message)
        },
        onResponseData: (controller, chunk) => {
          replied.push(Buffer.from(chunk))
          handler.onResponseData?.(controller, chunk)
        },
        onResponseEnd: (controller, trailers) => {
          keep()
          handler.onResponseEnd?.(controller, trailers)
        },
        onResponseError: (controller, error) => handler.onResponseError?.(controller, error),
      },
    )
  }
  const whole = () => exchanges.filter((one) => one !== undefined)
  const save = (): void => {
    const text = recordingText(whole())
    if (redact(text) !== text)
      throw integrationError('internal', {
        what: `a secret would stand in the recording ${file}; nothing was written`,
        next: 'Report it with the kind of request, and leave that request out',
        details: {},
      })
    const making = `${file}.making`
    writeFileSync(making, text)
    renameSync(making, file)
  }
  const close = async (): Promise<void> => {
    save()
    if (upstream === undefined) await real.close()
  }
  return Object.assign(new Dispatcher(), {
    dispatch,
    close,
    destroy: async () => (upstream === undefined ? real.destroy() : undefined),
    recorded: () => whole().length,
    save,
  })
}
