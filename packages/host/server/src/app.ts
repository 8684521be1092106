import { OpenAPIHono } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { firstIssue, fromJson } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'
import { serveConsole } from './console.ts'
import { guard } from './guard.ts'
import { failure, json, thrown } from './reply.ts'

/** The largest request body in bytes. */
const maxBodyBytes = 1 << 20

// A body without a length is refused before a byte of it is read; without either header there is none (RFC 9112, section 6.3).
const capped: MiddlewareHandler = async (context, next) => {
  if (context.req.header('transfer-encoding') !== undefined)
    return failure('invalid_input', 'a body needs its length: send Content-Length')
  if (Number(context.req.header('content-length') ?? 0) > maxBodyBytes)
    return failure('too_large', `the body is larger than ${maxBodyBytes} bytes`)
  return next()
}

// JSON.parse would round a long integer in what a partner is called with.
const exactBodies: MiddlewareHandler = async ({ req }, next) => {
  req.json = async <T>() => fromJson(await req.text()) as T
  return next()
}

export interface AppOptions {
  readonly token: string
  readonly version: string
  /** Known only once the server listens. */
  readonly hosts: () => ReadonlySet<string>
  readonly consoleDirectory?: URL | undefined
  /** Told the faults that nobody expected; the client sees only that there was one. */
  readonly onError?: ((error: IntegrationError) => void) | undefined
}

/** Makes the app: guard, size cap, errors, the API's document and the console; `routes` adds the API between them. */
export const createApp = (options: AppOptions, routes: (app: OpenAPIHono) => void): OpenAPIHono => {
  const app = new OpenAPIHono({
    defaultHook: (result) => {
      if (result.success) return
      const { field, message } = firstIssue(result.error)
      return failure('invalid_input', `${field === '' ? 'the request' : field}: ${message}`, field)
    },
  })
  app.use(guard(options))
  app.use(capped)
  app.use(exactBodies)
  app.onError((error) =>
    error instanceof HTTPException
      ? failure('invalid_input', error.message)
      : thrown(error, options.onError ?? (() => undefined)),
  )
  routes(app)
  app.get('/openapi.json', () =>
    json(
      app.getOpenAPI31Document({
        openapi: '3.1.0',
        info: { title: 'Ecosystem Integration Framework', version: options.version },
        security: [{ token: [] }],
      }),
    ),
  )
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' })
  app.all('/api/*', (context) => failure('not_found', `there is no ${context.req.method} ${context.req.path}`))
  app.get('*', serveConsole(options.consoleDirectory))
  app.notFound((context) => failure('not_found', `there is no ${context.req.method} ${context.req.path}`))
  return app
}
