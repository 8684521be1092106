import { Buffer, isUtf8 } from 'node:buffer'
import { Readable, type Transform } from 'node:stream'
import type { Collected, ReplyHeaders, Streaming } from './exchange.ts'

/** A header's value; several are joined as RFC 9110, 5.3 says. */
export const header = (headers: ReplyHeaders, name: string): string | undefined => {
  const value = headers[name]
  return typeof value === 'string' ? value : value?.join(', ')
}

/** The headers as the standard object. */
export const toHeaders = (given: ReplyHeaders): Headers => {
  const headers = new Headers()
  for (const [name, value] of Object.entries(given))
    for (const item of typeof value === 'string' ? [value] : (value ?? [])) headers.append(name, item)
  return headers
}

const encodings = (headers: ReplyHeaders): string[] =>
  (header(headers, 'content-encoding') ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity')

/** The stream decompressed, where the server compressed it although we send no Accept-Encoding. */
export const decoded = async ({ headers, stream }: Streaming): Promise<Readable | Transform> => {
  const names = encodings(headers)
  if (names.length === 0) return stream
  const [zlib, { pipeline }] = await Promise.all([import('node:zlib'), import('node:stream')])
  const decoders = {
    gzip: zlib.createGunzip,
    'x-gzip': zlib.createGunzip,
    deflate: zlib.createInflate,
    br: zlib.createBrotliDecompress,
    zstd: zlib.createZstdDecompress,
  }
  const known = new Map<string, () => Transform>(Object.entries(decoders))
  let end: Readable | Transform = stream
  for (const name of names.reverse()) {
    const make = known.get(name)
    if (make === undefined) {
      stream.destroy()
      throw Object.assign(new Error('unknown content-encoding'), { code: 'Z_UNKNOWN_ENCODING' })
    }
    end = pipeline(end, make(), () => {})
  }
  return end
}

/** The body decompressed, and cut at the limit again. */
export const inflated = async (answer: Collected, limit: number): Promise<Collected> => {
  if (encodings(answer.headers).length === 0 || answer.bytes.length === 0) return answer
  const { status, headers } = answer
  const stream = await decoded({ status, headers, stream: Readable.from([answer.bytes]) })
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > limit) break
  }
  return { status, headers, bytes: Buffer.concat(chunks, Math.min(size, limit)), whole: answer.whole && size <= limit }
}

/** The text of a body; undefined when it is not UTF-8. */
export const utf8 = (bytes: Buffer): string | undefined => (isUtf8(bytes) ? bytes.toString('utf8') : undefined)
