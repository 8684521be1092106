import { AsyncResource } from 'node:async_hooks'
import type { z } from 'zod'
import { firstIssue, type BytesReply, type IntegrationError, type Reply } from '@ecokit/contracts'
import { failureOf } from './attempt.ts'
import { decoded, grown, header, inflated, toHeaders, utf8 } from './body.ts'
import type { Answer, Collected } from './exchange.ts'
import { requestError, type About } from './failure.ts'
import { readJson } from './json.ts'
import { report, verdictOf } from './report.ts'
import type { Stop } from './stop.ts'
import type { Call, Hop, Wire } from './wire.ts'

/** The reply with its body as a stream that frees the socket when it is cancelled, and fails with IntegrationErrors only. */
export const streamed = async (wire: Wire, call: Call, answer: Answer, hop: Hop, stop: Stop): Promise<Reply> => {
  if (!('stream' in answer)) throw new Error('a body that was not streamed')
  const bodiless =
    call.method === 'HEAD' ||
    answer.status === 204 ||
    answer.status === 304 ||
    header(answer.headers, 'content-length') === '0'
  const source = bodiless ? answer.stream : await decoded(answer, call.limit)
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  // The observer of a call finds itself in that call, wherever its body is read.
  const tell = AsyncResource.bind(report)
  let finished = false
  let cancelled = false
  const finish = (error?: IntegrationError): void => {
    if (finished) return
    finished = true
    stop.release()
    if (error !== undefined && verdictOf({ error, again: 'never' }, hop) === 'failed')
      wire.guard.judge(hop.admitted, 'failed')
    wire.guard.leave()
    tell(wire, hop, error)
  }
  const lost = (error: unknown): IntegrationError => {
    const failure =
      (error as { code?: unknown }).code === grown
        ? tooLarge(hop.about, call.limit)
        : failureOf(error, stop, hop.about, call).error
    finish(failure)
    return failure
  }
  // Also where nobody reads it any more: who aborts a signal may well leave the body as it is, whether it is still coming or has all come.
  source.on('error', lost).on('close', () => finish())
  const end = (): void => void source.destroy(new Error('stopped'))
  stop.onHalt(end)
  if (stop.why() !== undefined) end()
  if (source.destroyed) lost(source.errored)
  // Many look at no body where there is none to be expected.
  else if (bodiless) {
    finish()
    source.resume()
  }
  let headers: Headers | undefined
  return {
    status: answer.status,
    get headers() {
      return (headers ??= toHeaders(answer.headers))
    },
    body: new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          if (bodiless && finished) controller.close()
        },
        pull: async (controller) => {
          try {
            const chunk = await chunks.next()
            if (cancelled) return
            if (chunk.done === true) {
              finish()
              controller.close()
            } else {
              hop.replyBytes += chunk.value.byteLength
              controller.enqueue(chunk.value)
            }
          } catch (error) {
            controller.error(lost(error))
          }
        },
        cancel: () => {
          cancelled = true
          finish()
          source.destroy()
        },
      },
      { highWaterMark: 0 },
    ),
  }
}

/** The reply's JSON in the schema's form; what the partner sent is never part of a message. */
export const checkedJson = <T>(
  schema: z.ZodType<T>,
  call: Call,
  answer: Answer,
  hop: Hop,
  stop: Stop,
): T | Promise<T> => {
  if (!('bytes' in answer)) throw new Error('a body that was not collected')
  return answer.headers['content-encoding'] === undefined || !answer.whole
    ? checkBody(schema, call, answer, hop)
    : inflated(answer, call.limit, stop).then((plain) => checkBody(schema, call, plain, hop))
}

/** The reply whole and decompressed, as bytes. */
export const collected = async (call: Call, answer: Answer, hop: Hop, stop: Stop): Promise<BytesReply> => {
  if (!('bytes' in answer)) throw new Error('a body that was not collected')
  const plain =
    answer.headers['content-encoding'] === undefined || !answer.whole
      ? answer
      : await inflated(answer, call.limit, stop)
  hop.replyBytes = plain.bytes.length
  if (!plain.whole) throw tooLarge(hop.about, call.limit)
  return { status: plain.status, headers: toHeaders(plain.headers), bytes: plain.bytes, url: hop.url }
}

const tooLarge = (about: About, limit: number): IntegrationError =>
  requestError(
    about,
    'too_large',
    `was answered with more than ${limit} bytes`,
    'Ask for less at once (smaller pages, fewer columns), or raise maxReplyBytes',
    { limit },
  )

const checkBody = <T>(schema: z.ZodType<T>, call: Call, answer: Collected, hop: Hop): T => {
  const { about } = hop
  const { status } = answer
  hop.replyBytes = answer.bytes.length
  if (!answer.whole) throw tooLarge(about, call.limit)
  const checked = schema.safeParse(parse(about, answer))
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

const parse = (about: About, { status, headers, bytes }: Collected): unknown => {
  const text = utf8(bytes)
  try {
    if (text !== undefined) return readJson(text)
  } catch {
    // Said below; the parser's own message would quote the body.
  }
  const type = header(headers, 'content-type')?.split(';')[0] ?? 'no content type'
  throw requestError(
    about,
    'invalid_reply',
    `was answered with ${status} and a body that is not JSON${text === undefined ? ' in UTF-8' : ''} (${type})`,
    `Is ${about.origin} the address of the partner's API, with no proxy or login page in between?`,
    { status },
  )
}
