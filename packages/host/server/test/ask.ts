import { request } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The body as JSON. */
  readonly body: unknown
}
export interface Ask {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** One request exactly as it is written: no path is tidied up, no header is added but Host, and that only where none is given. */
export const ask = (base: string, path: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base)
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
    const sent = request(
      { hostname, port, path, method, headers: { ...length, ...headers }, agent: false },
      (reply) => {
        const chunks: Buffer[] = []
        reply.on('data', (chunk: Buffer) => chunks.push(chunk))
        reply.on('error', reject)
        reply.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          resolve({
            status: reply.statusCode ?? 0,
            headers: reply.headers,
            text,
            get body() {
              return JSON.parse(text) as unknown
            },
          })
        })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })

/** Waits until `probe` gives something, and gives that. */
export const until = async <T>(probe: () => Promise<T | undefined> | T | undefined): Promise<T> => {
  for (;;) {
    const found = await probe()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
