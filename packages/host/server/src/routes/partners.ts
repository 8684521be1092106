import { z } from '@hono/zod-openapi'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { integrationError } from '@ecokit/contracts'
import type { AnyConnection, Operation } from '@ecokit/contracts'
import type { PartnerInput } from '@ecokit/registry'
import { catalogOf } from '../catalog.ts'
import type { EcosystemRuntime } from '../ecosystem.ts'
import { bytesOf, firstOf, readRecords } from '../records.ts'
import { addRoute } from '../route.ts'
import { called, changedPartner, health, newPartner, partner, records, stream } from '../schemas.ts'
import type { Views } from '../views.ts'

const tag = 'partners'
const named = z.object({ name: z.string() })
/** Whoever has the token is `api` in the audit log: there is one token, and it does not say who holds it. */
const by = (request: string) => ({ actor: 'api', reason: request })
const limit = (most: number, usual: number) => z.coerce.number().int().min(1).max(most).default(usual)
/** The most answers of a sequence that one call gives. */
const mostResults = 1000

const unsupported = (connection: AnyConnection, what: string, choices: readonly string[]) =>
  integrationError('unsupported', {
    partner: connection.name,
    what: `there is no ${what}`,
    next: `Choose one of: ${choices.join(', ')}`,
    details: { what },
  })

const findOperation = (connection: AnyConnection, capability: string, name: string): Operation => {
  const { provides = {} } = connection.manifest
  const found = Object.hasOwn(provides, capability) ? provides[capability] : undefined
  if (found === undefined) throw unsupported(connection, `capability ${capability}`, Object.keys(provides))
  const operation = Object.hasOwn(found.operations, name) ? found.operations[name] : undefined
  if (operation === undefined)
    throw unsupported(connection, `operation ${capability}.${name}`, Object.keys(found.operations))
  const { input, output } = bytesOf(operation)
  if (!input && !output) return operation
  throw integrationError('unsupported', {
    partner: connection.name,
    what: `${capability}.${name} ${input ? 'takes' : 'gives'} bytes, which this API does not carry`,
    next: 'Call it from code, or download with `ecokit call`',
    details: { what: `${capability}.${name}` },
  })
}

const isSequence = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value

/** Connects for one request and closes again, so that no lock and no socket outlives it. */
const using = async <T>(
  runtime: EcosystemRuntime,
  name: string,
  work: (connection: AnyConnection) => Promise<T>,
): Promise<T> => {
  const connection = await runtime.connect(name)
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}

/** Partners: the catalogue, their health, their streams and their operations. */
export const partnerRoutes = (app: OpenAPIHono, runtime: EcosystemRuntime, views: Views): void => {
  const { registry } = runtime
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/partners',
      tag,
      summary: 'Every partner with its health',
      reply: z.object({ partners: z.array(partner).readonly() }),
    },
    async () => ({ partners: await views.partners() }),
  )
  addRoute(
    app,
    {
      method: 'post',
      path: '/api/partners',
      tag,
      summary: 'Register a partner',
      body: newPartner,
      reply: partner,
      status: 201,
    },
    async ({ body: { name, ...input } }) => {
      await runtime.partners.register(name as string, input as unknown as PartnerInput, by('POST /api/partners'))
      return views.partner(name as string)
    },
  )
  addRoute(
    app,
    { method: 'get', path: '/api/partners/{name}', tag, summary: 'One partner', params: named, reply: partner },
    ({ params }) => views.partner(params.name),
  )
  addRoute(
    app,
    {
      method: 'patch',
      path: '/api/partners/{name}',
      tag,
      summary: 'Change a partner that the API registered, or the policy of any; a policy is in force at once',
      params: named,
      body: changedPartner,
      reply: partner,
    },
    async ({ params, body }) => {
      await runtime.partners.update(params.name, body as Partial<PartnerInput>, by('PATCH /api/partners/{name}'))
      return views.partner(params.name)
    },
  )
  addRoute(
    app,
    {
      method: 'delete',
      path: '/api/partners/{name}',
      tag,
      summary: 'Remove a partner that the API registered, with its health history',
      params: named,
      reply: z.object({}),
    },
    async ({ params }) => {
      await runtime.partners.remove(params.name, by('DELETE /api/partners/{name}'))
      return {}
    },
  )
  addRoute(
    app,
    {
      method: 'post',
      path: '/api/partners/{name}/check',
      tag,
      summary: 'Check a partner now',
      params: named,
      reply: health,
    },
    async ({ params, signal }) => {
      await registry.get(params.name)
      return runtime.health.checkNow(params.name, { signal })
    },
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/partners/{name}/health',
      tag,
      summary: 'The last checks, oldest first',
      params: named,
      query: z.object({ limit: limit(1000, 100) }),
      reply: z.object({ checks: z.array(health).readonly() }),
    },
    async ({ params, query }) => {
      await registry.get(params.name)
      return { checks: await runtime.health.history(params.name, { limit: query.limit }) }
    },
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/partners/{name}/streams',
      tag,
      summary: 'Declared streams, and the tables that are there now',
      params: named,
      reply: z.object({ streams: z.array(stream).readonly() }),
    },
    ({ params, signal }) =>
      using(runtime, params.name, async (connection) => ({ streams: await catalogOf(connection, { signal }) })),
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/partners/{name}/streams/{stream}/records',
      tag,
      summary: 'The first records of a stream',
      params: named.extend({ stream: z.string() }),
      query: z.object({ limit: limit(10_000, 100) }),
      reply: records,
    },
    ({ params, query, signal }) =>
      using(runtime, params.name, async (connection) => {
        const { items, truncated } = await firstOf(readRecords(connection, params.stream, { signal }), query.limit)
        return { records: items, truncated }
      }),
  )
  addRoute(
    app,
    {
      method: 'post',
      path: '/api/partners/{name}/call/{capability}/{operation}',
      tag,
      summary: 'Call an operation; one that changes or removes something needs `confirm`',
      params: named.extend({ capability: z.string(), operation: z.string() }),
      query: z.object({ confirm: z.enum(['write', 'destroy']).optional(), limit: limit(mostResults, 100) }),
      body: z.unknown().optional().openapi({ type: 'object', description: "The operation's input" }),
      reply: called,
    },
    ({ params, query, body, signal }) =>
      using(runtime, params.name, async (connection) => {
        const { capability, operation } = params
        const { effect } = findOperation(connection, capability, operation)
        if (effect !== 'read' && query.confirm !== effect)
          throw integrationError('invalid_input', {
            partner: params.name,
            what: `${capability}.${operation} would ${effect === 'write' ? 'change' : 'remove'} something there`,
            next: `Call it with ?confirm=${effect} if that is meant`,
            details: { field: 'confirm' },
          })
        const answer = connection.call(capability, operation, body ?? {}, { signal })
        if (!isSequence(answer)) return { result: await answer }
        const { items, truncated } = await firstOf(answer, query.limit)
        return { results: items, truncated }
      }),
  )
}
