import { isUtf8, Buffer } from 'node:buffer'
import type { Readable } from 'node:stream'
import type { Raw } from './wire.ts'

/** A header's value; several are joined as RFC 9110, 5.3 says. */
export const header = (reply: Raw, name: string): string | undefined => {
  const value = reply.headers[name]
  return typeof value === 'string' ? value : value?.join(', ')
}

/** undici's headers as the standard object. */
export const toHeaders = (reply: Raw): Headers => {
  const headers = new Headers()
  for (const [name, value] of Object.entries(reply.headers))
    for (const item of typeof value === 'string' ? [value] : (value ?? [])) headers.append(name, item)
  return headers
}

/** The body, decompressed where the server compressed it although we send no Accept-Encoding. */
export const decoded = async (reply: Raw, method: string): Promise<Readable> => {
  const encodings = (header(reply, 'content-encoding') ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity')
  if (encodings.length === 0 || method === 'HEAD' || reply.statusCode === 204 || reply.statusCode === 304)
    return reply.body
  const [zlib, { pipeline }] = await Promise.all([import('node:zlib'), import('node:stream')])
  let stream: Readable = reply.body
  for (const name of encodings.reverse()) {
    const decoder =
      name === 'gzip' || name === 'x-gzip'
        ? zlib.createGunzip()
        : name === 'deflate'
          ? zlib.createInflate()
          : name === 'br'
            ? zlib.createBrotliDecompress()
            : name === 'zstd'
              ? zlib.createZstdDecompress()
              : undefined
    if (decoder === undefined) {
      reply.body.on('error', () => {}).destroy()
      throw Object.assign(new Error(`unknown content-encoding ${name}`), { code: 'Z_UNKNOWN_ENCODING' })
    }
    stream = pipeline(stream, decoder, () => {})
  }
  return stream
}

/** Reads at most `limit` bytes. When there are more, the rest is not read and the socket is freed; `whole` is false then. */
export const readBytes = (stream: Readable, limit: number): Promise<{ bytes: Buffer; whole: boolean }> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    let ended = false
    stream
      .on('data', (chunk: Buffer) => {
        size += chunk.length
        chunks.push(chunk)
        if (size <= limit) return
        resolve({ bytes: Buffer.concat(chunks).subarray(0, limit), whole: false })
        stream.destroy()
      })
      .on('end', () => {
        ended = true
        const [first] = chunks
        resolve({
          bytes: chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size),
          whole: true,
        })
      })
      .on('error', reject)
      .on('close', () => {
        if (!ended) reject(Object.assign(new Error('closed early'), { code: 'UND_ERR_SOCKET' }))
      })
  })

/** The text of a body; undefined when it is not UTF-8. */
export const utf8 = (bytes: Buffer): string | undefined => (isUtf8(bytes) ? bytes.toString('utf8') : undefined)
