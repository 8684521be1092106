import { toJson } from '@ecokit/contracts'

/** Sends server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) to every connected client. */
export interface Hub {
  /** A reply that stays open; `hello` is its first event, `drop` cuts the client off. Undefined when too many clients are connected. */
  open(hello: unknown, drop: () => void): Response | undefined
  send(event: string, data: unknown): void
  /** How many clients are connected. */
  size(): number
  /** Ends every open reply. */
  close(): void
}

export interface HubOptions {
  /** Above this a further client is refused. */
  readonly maxClients?: number
  /** A client that lets more than this many bytes pile up is disconnected; it comes back and starts anew with `hello`. */
  readonly maxBufferedBytes?: number
  readonly heartbeatMs?: number
}

/** Opens the hub; the timer of its heartbeat does not keep the process alive. */
export const openHub = ({
  maxClients = 64,
  maxBufferedBytes = 1 << 20,
  heartbeatMs = 15_000,
}: HubOptions = {}): Hub => {
  const clients = new Map<ReadableStreamDefaultController<Uint8Array>, () => void>()
  const encoder = new TextEncoder()
  const frame = (event: string, data: unknown) => encoder.encode(`event: ${event}\ndata: ${toJson(data)}\n\n`)
  const push = (bytes: Uint8Array) => {
    for (const [client, drop] of clients)
      // One event may be larger than that by itself: a client that has read everything before it can follow.
      if ((client.desiredSize ?? 0) < Math.min(bytes.byteLength, maxBufferedBytes)) {
        clients.delete(client)
        drop()
      } else client.enqueue(bytes)
  }
  const heartbeat = setInterval(() => {
    push(encoder.encode(': heartbeat\n\n'))
  }, heartbeatMs).unref()
  return {
    open: (hello, drop) => {
      if (clients.size >= maxClients) return undefined
      let own: ReadableStreamDefaultController<Uint8Array>
      const body = new ReadableStream<Uint8Array>(
        {
          start: (controller) => {
            own = controller
            clients.set(controller, drop)
            controller.enqueue(frame('hello', hello))
          },
          cancel: () => {
            clients.delete(own)
          },
        },
        new ByteLengthQueuingStrategy({ highWaterMark: maxBufferedBytes }),
      )
      return new Response(body, { headers: { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' } })
    },
    send: (event, data) => {
      if (clients.size > 0) push(frame(event, data))
    },
    size: () => clients.size,
    close: () => {
      clearInterval(heartbeat)
      for (const client of clients.keys()) client.close()
      clients.clear()
    },
  }
}
