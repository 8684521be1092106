import { hmacSigning, type HmacDesign } from '@ecokit/auth'
import { z } from 'zod'

const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'a header name')
/** A dotted path into a reply; empty: the reply itself. */
const place = z.string().regex(/^(?:[^.]+(?:\.[^.]+)*)?$/, 'a dotted path')
const relative = z
  .string()
  .regex(/^(?![a-z][a-z0-9+.-]*:|\/\/)[^?#\s]*$/i, 'a path below url, without a query')
  .meta({ title: 'Path' })

/** Headers that credentials, the body or the connection decide. */
const reserved = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'host',
  'connection',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
]
const headers = z
  .record(headerName, z.string())
  .superRefine((given, check) => {
    for (const name of Object.keys(given))
      if (reserved.includes(name.toLowerCase()))
        check.addIssue({
          code: 'custom',
          path: [name],
          message: 'is set by the credentials, the body or the connection',
        })
  })
  .meta({ title: 'Headers of every request; never a secret' })

const signing = z
  .strictObject({
    algorithm: z.enum(['sha1', 'sha256', 'sha384', 'sha512']).default('sha256'),
    signed: z
      .array(z.enum(['method', 'host', 'path', 'query', 'target', 'timestamp', 'nonce', 'key_id', 'body', 'body_hash']))
      .min(1)
      .default(['timestamp', 'body']),
    separator: z.string().default('.'),
    encoding: z.enum(['hex', 'base64', 'base64url']).default('hex'),
    key: z.enum(['utf8', 'hex', 'base64']).default('utf8'),
    timestamp: z.enum(['seconds', 'milliseconds', 'iso', 'http_date']).default('seconds'),
    headers: z
      .record(headerName, z.string())
      .default({ 'x-timestamp': '{timestamp}', 'x-signature': '{signature}' })
      .meta({ title: 'Templates of {signature}, {key_id}, {timestamp}, {nonce} and {body_hash}' }),
  })
  .superRefine((design: HmacDesign, check) => {
    try {
      hmacSigning(design)
    } catch (thrown) {
      check.addIssue({ code: 'custom', path: ['headers'], message: thrown instanceof Error ? thrown.message : 'wrong' })
    }
  })
  .meta({ title: 'How the scheme hmac signs' })

const removal = z
  .strictObject({
    method: z.enum(['DELETE', 'POST', 'PUT', 'PATCH']).default('DELETE'),
    path: relative.meta({
      title: 'With {field} of the primary key: a request for each record; without: keys are sent as records are',
    }),
  })
  .meta({ title: 'How records are deleted; absent: they cannot be' })

const errors = z
  .strictObject({
    at: place.meta({ title: 'Where the list stands in the reply' }),
    index: place.optional().meta({ title: 'Of the record in the request, from 0; absent: the place in the list' }),
    status: place.optional().meta({ title: 'HTTP status of the record: below 400 it is no error' }),
    reason: place.optional(),
  })
  .meta({ title: 'Where a reply says which records were refused' })

export const config = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).meta({ title: 'Address of the endpoint' }),
  path: relative.default('{table}'),
  query: z.record(z.string(), z.string()).optional(),
  method: z.enum(['POST', 'PUT', 'PATCH']).default('POST'),
  format: z.enum(['array', 'ndjson', 'object']).default('array').meta({ title: 'Body: a list, lines, or an object' }),
  recordsKey: z.string().min(1).default('records').meta({ title: 'Where the list stands in an object' }),
  contentType: z.string().min(1).optional().meta({ title: 'Default by the format' }),
  batchRows: z.int().min(1).default(1000),
  batchBytes: z.int().min(1).default(1_000_000),
  idempotencyHeader: headerName
    .optional()
    .meta({ title: 'Header under which the endpoint takes an idempotency key; append needs it' }),
  headers: headers.optional(),
  apiKeyHeader: headerName.default('x-api-key').meta({ title: 'Header of the scheme api_key' }),
  signing: signing.prefault({}),
  delete: removal.optional(),
  errors: errors.optional(),
  checkPath: relative.optional().meta({ title: 'Answers GET with 2xx where all is well; absent: OPTIONS of url' }),
})
export type Config = z.output<typeof config>
