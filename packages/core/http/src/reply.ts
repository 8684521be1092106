import type { Buffer } from 'node:buffer'
import type { z } from 'zod'
import { firstIssue, type IntegrationError, type Reply } from '@ecokit/contracts'
import { failureOf, report } from './attempt.ts'
import { decoded, header, readBytes, toHeaders, utf8 } from './body.ts'
import { requestError, type About } from './failure.ts'
import { readJson } from './json.ts'
import type { Stop } from './stop.ts'
import type { Call, Hop, Raw, Wire } from './wire.ts'

/** The reply with its body as a stream that frees the socket when it is cancelled, and fails with IntegrationErrors only. */
export const streamed = async (wire: Wire, call: Call, raw: Raw, hop: Hop, stop: Stop): Promise<Reply> => {
  const source = await decoded(raw, call.method)
  source.on('error', () => {})
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  let finished = false
  const finish = (error?: IntegrationError): void => {
    if (finished) return
    finished = true
    stop.release()
    report(wire, hop, error)
  }
  let headers: Headers | undefined
  return {
    status: raw.statusCode,
    get headers() {
      return (headers ??= toHeaders(raw))
    },
    body: new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const chunk = await chunks.next()
            if (finished) return
            if (chunk.done === true) {
              finish()
              controller.close()
            } else {
              hop.replyBytes += chunk.value.byteLength
              controller.enqueue(chunk.value)
            }
          } catch (error) {
            const failure = failureOf(error, stop, hop.about, call.timeoutMs)
            finish(failure.error)
            controller.error(failure.error)
          }
        },
        cancel: () => {
          finish()
          source.destroy()
        },
      },
      { highWaterMark: 0 },
    ),
  }
}

/** The reply's JSON in the schema's form; what the partner sent is never part of a message. */
export const checkedJson = async <T>(schema: z.ZodType<T>, limit: number, raw: Raw, hop: Hop): Promise<T> => {
  const { about } = hop
  const status = raw.statusCode
  const tooLarge = () =>
    requestError(
      about,
      'too_large',
      `was answered with more than ${limit} bytes`,
      'Ask for less at once (smaller pages, fewer columns), or raise maxReplyBytes',
      { limit },
    )
  if (about.method !== 'HEAD' && Number(header(raw, 'content-length')) > limit) {
    raw.body.on('error', () => {}).destroy()
    throw tooLarge()
  }
  const body = raw.headers['content-encoding'] === undefined ? raw.body : await decoded(raw, about.method)
  const { bytes, whole } = await readBytes(body, limit)
  hop.replyBytes = bytes.length
  if (!whole) throw tooLarge()
  const checked = schema.safeParse(parse(about, raw, bytes))
  if (checked.success) return checked.data
  const { field, message } = firstIssue(checked.error)
  throw requestError(
    about,
    'invalid_reply',
    `was answered with a body that does not fit: ${field === '' ? '' : `${field}: `}${message}`,
    'The partner may have changed its interface: look for a newer version of the connector',
    { field, status },
  )
}

const parse = (about: About, raw: Raw, bytes: Buffer): unknown => {
  const text = utf8(bytes)
  try {
    if (text !== undefined) return readJson(text)
  } catch {
    // Said below; the parser's own message would quote the body.
  }
  const type = header(raw, 'content-type')?.split(';')[0] ?? 'no content type'
  throw requestError(
    about,
    'invalid_reply',
    `was answered with ${raw.statusCode} and a body that is not JSON${text === undefined ? ' in UTF-8' : ''} (${type})`,
    `Is ${about.origin} the address of the partner's API, with no proxy or login page in between?`,
    { status: raw.statusCode },
  )
}
