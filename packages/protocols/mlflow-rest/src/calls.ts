import type { CallOptions, Http, JsonRequest } from '@ecokit/contracts'
import { walkPages } from '@ecokit/http'
import { checkLength, limits } from './limits.ts'

export type View = 'active' | 'deleted' | 'all'
export const viewTypes = { active: 'ACTIVE_ONLY', deleted: 'DELETED_ONLY', all: 'ALL' } as const

/** One page of a listing; `next` asks for the page after it. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | undefined
}
export interface Search {
  /** MLflow's own search syntax: https://mlflow.org/docs/latest/search-runs */
  readonly filter?: string | undefined
  readonly orderBy?: readonly string[] | undefined
  readonly view?: View | undefined
  /** Records a page; up to 50,000 runs or experiments, 1,000 models, 200,000 versions, 25,000 history rows. */
  readonly pageSize: number
  readonly pageToken?: string | undefined
}
/** What the parts of the client share. */
export interface Wire {
  readonly partner: string
  readonly http: Http
  /** `api/2.0/mlflow/`. */
  readonly path: string
}

export const tagList = (tags: Readonly<Record<string, string>> | undefined) =>
  Object.entries(tags ?? {}).map(([key, value]) => ({ key, value }))
export const fromPages = <T, S>(
  partner: string,
  what: string,
  page: (search: S, options?: CallOptions) => Promise<Page<T>>,
) =>
  /** Every page, one after the other. */
  async function* (search: S, options?: CallOptions): AsyncGenerator<readonly T[]> {
    for await (const { items } of walkPages(partner, what, (pageToken) => page({ ...search, pageToken }, options)))
      yield items
  }

/** Calls below `api/2.0/mlflow/`, by the way in which MLflow wants them. */
export const caller = ({ http, path }: Wire) => {
  const request =
    (method: string) =>
    (name: string, body: object, how?: Pick<JsonRequest, 'effect' | 'idempotent'>): JsonRequest => ({
      method,
      path: path + name,
      body,
      ...how,
    })
  const post = request('POST')
  return {
    http,
    post,
    patch: request('PATCH'),
    remove: request('DELETE'),
    get: (name: string, query: NonNullable<JsonRequest['query']>): JsonRequest => ({
      method: 'GET',
      path: path + name,
      query,
    }),
    /** A search that is sent as POST and changes nothing. */
    search: (name: string, body: object): JsonRequest => post(name, body, { effect: 'read' }),
    /** A change that may be sent twice: the same bytes have the same effect. */
    repeatable: (name: string, body: object): JsonRequest => post(name, body, { idempotent: true }),
  }
}

export const checkTag = (partner: string, key: string, value: string, most: number): void => {
  checkLength(partner, 'key', key, limits.key, 1)
  checkLength(partner, 'value', value, most)
}
