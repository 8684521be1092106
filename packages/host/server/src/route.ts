import { createRoute } from '@hono/zod-openapi'
import type { OpenAPIHono, z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { json } from './reply.ts'
import { problem } from './schemas.ts'

/** One route of the API: what it takes and gives, as schemas that check requests and make the OpenAPI document. */
export interface Route<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType, R extends z.ZodType> {
  readonly method: 'get' | 'post' | 'patch' | 'delete'
  readonly path: `/${string}`
  readonly tag: string
  /** One line for the document. */
  readonly summary: string
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  readonly reply: R
  /** Default 200. */
  readonly status?: 200 | 201 | 202
}
export interface Asked<P, Q, B> {
  readonly params: P
  readonly query: Q
  readonly body: B
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal
}

const problemReply = (description: string) => ({ description, content: { 'application/json': { schema: problem } } })

/** Adds a route; what the handler throws becomes the error reply of the whole app. */
export const addRoute = <
  R extends z.ZodType,
  P extends z.ZodObject = z.ZodObject<{}>,
  Q extends z.ZodObject = z.ZodObject<{}>,
  B extends z.ZodType = z.ZodUndefined,
>(
  app: OpenAPIHono,
  route: Route<P, Q, B, R>,
  handle: (asked: Asked<z.output<P>, z.output<Q>, z.output<B>>) => Promise<z.input<R>> | z.input<R>,
): void => {
  const { method, path, tag, summary, params, query, body, reply, status = 200 } = route
  const declared = createRoute({
    method,
    path,
    tags: [tag],
    summary,
    request: {
      ...(params === undefined ? {} : { params }),
      ...(query === undefined ? {} : { query }),
      ...(body === undefined
        ? {}
        : {
            body: { required: !body.safeParse(undefined).success, content: { 'application/json': { schema: body } } },
          }),
    },
    responses: {
      [status]: { description: 'Done', content: { 'application/json': { schema: reply } } },
      default: problemReply('What went wrong'),
    },
  })
  // The document promises JSON; that `json()` writes it with every digit of a bigint is more than hono's types can say.
  const respond: (context: Context) => Promise<never> = async (context) => {
    const valid = (part: string): unknown => context.req.valid(part as never)
    const asked = {
      params: params === undefined ? {} : valid('param'),
      query: query === undefined ? {} : valid('query'),
      body: body === undefined ? undefined : valid('json'),
      signal: context.req.raw.signal,
    }
    return json(await handle(asked as Asked<z.output<P>, z.output<Q>, z.output<B>>), status) as never
  }
  app.openapi(declared, respond)
}
