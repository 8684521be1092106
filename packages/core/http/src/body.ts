import { Buffer, isUtf8 } from 'node:buffer'
import { Readable, type Transform } from 'node:stream'
import type { Collected, ReplyHeaders, Streaming } from './exchange.ts'
import type { Stop } from './stop.ts'

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

/** A body may be compressed this many times over; more is an attack. */
const mostEncodings = 3
/** Beyond the limit, a streamed body may grow to this many times what came over the wire. */
const mostGrowth = 100

const fault = (code: string): Error => Object.assign(new Error('a compressed body'), { code })
/** The code of the error for a body that grows beyond its bounds. */
export const grown = 'BODY_TOO_LARGE'

/** Passes pieces on; `check` sees their sizes and may throw. */
const counting = (Make: typeof Transform, check: (bytes: number) => void): Transform =>
  new Make({
    transform: (chunk: Buffer, _encoding, done) => {
      try {
        check(chunk.length)
        done(null, chunk)
      } catch (error) {
        done(error as Error)
      }
    },
  })

/**
 * The stream decompressed. `fits` is asked after each piece, at every layer, whether so many bytes may come out of so many that went in; where not, the stream fails with the code `grown`:
 * a bomb in a bomb is small on the outside and on the inside.
 */
const decompressed = async (
  stream: Readable,
  names: readonly string[],
  fits: (bytes: number, received: number) => boolean,
): Promise<Readable> => {
  const [zlib, { pipeline, Transform }] = await Promise.all([import('node:zlib'), import('node:stream')])
  const decoders = new Map<string, () => Transform>([
    ['gzip', zlib.createGunzip],
    ['x-gzip', zlib.createGunzip],
    ['deflate', zlib.createInflate],
    ['br', zlib.createBrotliDecompress],
    ['zstd', zlib.createZstdDecompress],
  ])
  const wanted = names.toReversed().map((name) => decoders.get(name))
  const known = wanted.filter((make) => make !== undefined)
  if (known.length !== wanted.length || wanted.length > mostEncodings) {
    stream.destroy()
    throw fault('Z_UNKNOWN_ENCODING')
  }
  let received = 0
  const layers = known.flatMap((make) => {
    let bytes = 0
    return [
      make(),
      counting(Transform, (more) => {
        bytes += more
        if (!fits(bytes, received)) throw fault(grown)
      }),
    ]
  })
  const all = [counting(Transform, (more) => (received += more)), ...layers]
  return pipeline([stream, ...all], () => {}) as unknown as Readable
}

/** The stream decompressed, where the server compressed it although a stream asks for none; it may not grow out of all proportion once it is beyond `limit` bytes. */
export const decoded = async ({ headers, stream }: Streaming, limit: number): Promise<Readable> => {
  const names = encodings(headers)
  if (names.length === 0) return stream
  return decompressed(stream, names, (bytes, received) => bytes <= limit || bytes <= received * mostGrowth)
}

/** The body decompressed, and cut at the limit again. */
export const inflated = async (answer: Collected, limit: number, stop: Stop): Promise<Collected> => {
  const names = encodings(answer.headers)
  if (names.length === 0 || answer.bytes.length === 0) return answer
  const { status, headers } = answer
  const chunks: Buffer[] = []
  let size = 0
  let whole = answer.whole
  try {
    const stream = await decompressed(Readable.from([answer.bytes]), names, (bytes) => bytes <= limit)
    stop.onHalt(() => stream.destroy(new Error('stopped')))
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
    }
  } catch (error) {
    // What came before counts: the words of an error are at its beginning.
    if ((error as { code?: unknown }).code !== grown && (answer.whole || size === 0)) throw error
    whole = false
  }
  return { status, headers, bytes: Buffer.concat(chunks, size), whole }
}

/** The text of a body; undefined when it is not UTF-8. */
export const utf8 = (bytes: Buffer): string | undefined => (isUtf8(bytes) ? bytes.toString('utf8') : undefined)
