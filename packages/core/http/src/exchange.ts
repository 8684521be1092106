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

/** A request that is under way. */
interface Live {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
  readonly plan: Plan
  readonly stop: Stop
  /** False where the reply has no body whatever its length says. */
  readonly hasBody: boolean
  controller: Dispatcher.DispatchController | undefined
  stream: Readable | undefined
  status: number
  headers: ReplyHeaders
  /** How many bytes are collected. */
  most: number
  size: number
  readonly chunks: Buffer[]
}
interface Plan {
  readonly streamed: (status: number, headers: ReplyHeaders) => boolean
  readonly limit: number
}

/** Says what was collected; `whole` is false where there is more. */
const answer = ({ chunks, size, status, headers, most, resolve }: Live, whole: boolean): void => {
  const [first] = chunks
  const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size)
  resolve({ status, headers, whole, bytes: whole ? bytes : bytes.subarray(0, most) })
}
const fail = (live: Live, error: Error): void => {
  if (live.stream !== undefined) live.stream.destroy(error)
  // An error's answer counts however much of its body came.
  else if (live.status >= 300) answer(live, false)
  else live.reject(error)
}

/**
 * What undici calls. It keeps the handlers of hundreds of finished requests for each socket, so they must hold nothing: `live` is let go with the last word.
 */
const handlerOf = (given: Live): Dispatcher.DispatchHandler => {
  let live: Live | undefined = given
  given.stop.onHalt(() => {
    if (live === undefined) return
    const { controller } = live
    const error = new Error('stopped')
    fail(live, error)
    live = undefined
    controller?.abort(error)
  })
  return {
    onRequestStart: (controller) => {
      if (live === undefined || live.stop.why() !== undefined) controller.abort(new Error('stopped'))
      else live.controller = controller
    },
    onResponseStart: (controller, status, headers) => {
      if (live === undefined || status < 200) return
      live.status = status
      live.headers = headers
      if (live.plan.streamed(status, headers)) {
        live.stream = streamOf(controller)
        live.resolve({ status, headers, stream: live.stream })
        return
      }
      if (status >= 300) live.most = errorBodyBytes
      else if (live.hasBody && Number(headers['content-length']) > live.most) {
        answer(live, false)
        live = undefined
        controller.abort(new Error('too large'))
      }
    },
    onResponseData: (controller, chunk) => {
      if (live === undefined) return
      if (live.stream !== undefined) {
        if (!live.stream.push(chunk)) controller.pause()
        return
      }
      live.chunks.push(chunk)
      live.size += chunk.length
      if (live.size <= live.most) return
      answer(live, false)
      live = undefined
      controller.abort(new Error('too large'))
    },
    onResponseEnd: () => {
      if (live === undefined) return
      if (live.stream === undefined) answer(live, true)
      else live.stream.push(null)
      live = undefined
    },
    onResponseError: (_, error) => {
      if (live === undefined) return
      fail(live, error)
      live = undefined
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
  plan: Plan,
  stop: Stop,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const handler = handlerOf({
      resolve,
      reject,
      plan,
      stop,
      hasBody: options.method !== 'HEAD',
      controller: undefined,
      stream: undefined,
      status: 0,
      headers: {},
      most: plan.limit,
      size: 0,
      chunks: [],
    })
    dispatcher.dispatch(options, handler)
  })
