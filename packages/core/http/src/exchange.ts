import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Stop } from './stop.ts'

/** Names in lower case. */
export type ReplyHeaders = Readonly<Record<string, string | string[] | undefined>>
/** A reply whose body was read, as far as the limit allows; `whole` is false when there was more. */
export interface Collected {
  readonly status: number
  readonly headers: ReplyHeaders
  readonly bytes: Buffer
  readonly whole: boolean
}
/** A reply whose body is still to come. */
export interface Streaming {
  readonly status: number
  readonly headers: ReplyHeaders
  readonly stream: Readable
}
export type Answer = Collected | Streaming

/** What is read of the body of an error or a redirect. */
const errorBodyBytes = 65_536

const streamOf = (controller: Dispatcher.DispatchController): Readable => {
  const stream = new Readable({
    read: () => controller.resume(),
    destroy: (error, done) => {
      // Does nothing to a reply that is complete, whose socket is in use again.
      controller.abort(error ?? new Error('left by its reader'))
      done(error)
    },
  })
  return stream.on('error', () => {})
}

/** An answer that is collected: it goes on until the limit, and an error's answer counts however much of it comes. */
const collect = (limit: number, resolve: (answer: Collected) => void) => {
  const chunks: Buffer[] = []
  let size = 0
  let status = 0
  let headers: ReplyHeaders = {}
  let most = limit
  const finish = (whole: boolean): void => {
    const [first] = chunks
    const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size)
    resolve({ status, headers, whole, bytes: whole ? bytes : bytes.subarray(0, most) })
  }
  return {
    /** False when the body is announced as larger than the limit, and then everything is said. */
    begin: (code: number, given: ReplyHeaders, hasBody: boolean): boolean => {
      status = code
      headers = given
      if (code >= 300) most = errorBodyBytes
      const fits = code >= 300 || !hasBody || !(Number(given['content-length']) > most)
      if (!fits) finish(false)
      return fits
    },
    /** False when the limit is reached, and then everything is said. */
    add: (chunk: Buffer): boolean => {
      chunks.push(chunk)
      size += chunk.length
      if (size > most) finish(false)
      return size <= most
    },
    end: (): void => finish(true),
    /** True when what came so far is an answer in itself. */
    endEarly: (): boolean => {
      if (status >= 300) finish(false)
      return status >= 300
    },
  }
}

/**
 * Sends one request and reads its answer. Works on undici's dispatch() and not on its request(), which makes a stream of every body and costs a fifth more.
 * `stop` ends it wherever it is, also before there is a socket, of which undici itself takes no notice.
 */
export const exchange = (
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  plan: { readonly streamed: (status: number, headers: ReplyHeaders) => boolean; readonly limit: number },
  stop: Stop,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined
    let stream: Readable | undefined
    const collected = collect(plan.limit, resolve)
    const fail = (error: Error): void => {
      if (stream !== undefined) stream.destroy(error)
      else if (!collected.endEarly()) reject(error)
    }
    stop.onHalt(() => {
      const error = new Error('stopped')
      fail(error)
      controller?.abort(error)
    })
    dispatcher.dispatch(options, {
      onRequestStart: (given) => {
        controller = given
        if (stop.why() !== undefined) given.abort(new Error('stopped'))
      },
      onResponseStart: (given, status, headers) => {
        if (status < 200) return
        if (plan.streamed(status, headers)) {
          stream = streamOf(given)
          resolve({ status, headers, stream })
        } else if (!collected.begin(status, headers, options.method !== 'HEAD')) given.abort(new Error('too large'))
      },
      onResponseData: (given, chunk) => {
        if (stream === undefined) {
          if (!collected.add(chunk)) given.abort(new Error('too large'))
        } else if (!stream.push(chunk)) given.pause()
      },
      onResponseEnd: () => {
        if (stream === undefined) collected.end()
        else stream.push(null)
      },
      onResponseError: (_, error) => fail(error),
    })
  })
