import { Buffer } from 'node:buffer'
import { integrationError, toJson } from '@ecokit/contracts'

/**
 * What a server takes, in characters: mlflow/utils/validation.py of MLflow 3.17. It is checked here because a server cuts params and tags that are too long
 * without a word (MLFLOW_TRUNCATE_LONG_VALUES in mlflow/environment_variables.py).
 */
export const limits = {
  key: 250,
  paramValue: 6_000,
  tagValue: 8_000,
  experimentName: 500,
  experimentTagValue: 20_000,
  /** The column's width in mlflow/store/model_registry/dbmodels/models.py. */
  modelName: 256,
  modelTagValue: 100_000,
  alias: 255,
  batch: { metrics: 1_000, params: 100, tags: 100, entities: 1_000, bytes: 1_000_000 },
} as const

/** Throws `invalid_input` when a text is empty where it may not be, or has more characters than a server takes. */
export const checkLength = (partner: string, field: string, value: string, most: number, least = 0): void => {
  const length = value.length > most ? Array.from(value).length : value.length
  if (length <= most && length >= least) return
  throw integrationError('invalid_input', {
    partner,
    what: length > most ? `${field} has ${length} characters, MLflow takes ${most}` : `${field} is empty`,
    next: length > most ? 'Shorten it, or store it as an artifact' : 'Give it a value',
    details: { field },
  })
}

/** A value of a metric to log; `timestamp` in epoch milliseconds. */
export interface MetricToLog {
  readonly key: string
  readonly value: number
  readonly timestamp: bigint | number
  readonly step: bigint | number
}
export interface BatchToLog {
  readonly metrics?: readonly MetricToLog[] | undefined
  readonly params?: Readonly<Record<string, string>> | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
}
type Part = 'params' | 'tags' | 'metrics'

const entities = (partner: string, batch: BatchToLog): readonly (readonly [Part, object])[] => {
  const pairs = (part: 'params' | 'tags', most: number): [Part, object][] =>
    Object.entries(batch[part] ?? {}).map(([key, value]) => {
      checkLength(partner, `${part}: the key ${key.slice(0, 40)}`, key, limits.key, 1)
      checkLength(partner, `${part}.${key}`, value, most)
      return [part, { key, value }]
    })
  const metrics = (batch.metrics ?? []).map(({ key, value, timestamp, step }): [Part, object] => {
    checkLength(partner, `metrics: the key ${key.slice(0, 40)}`, key, limits.key, 1)
    return ['metrics', { key, value, timestamp, step }]
  })
  return [...pairs('params', limits.paramValue), ...pairs('tags', limits.tagValue), ...metrics]
}

/** Cuts what is to be logged into bodies of `runs/log-batch` that each stay within all of MLflow's limits; params go first, since only they can be refused for what was logged before. */
export const batchBodies = (partner: string, runId: string, batch: BatchToLog): readonly object[] => {
  const { bytes: mostBytes, entities: most, ...mostOf } = limits.batch
  const bodies: (Record<Part, object[]> & { readonly run_id: string })[] = []
  let count = 0
  let bytes = 0
  for (const [part, entity] of entities(partner, batch)) {
    const size = Buffer.byteLength(toJson(entity)) + 1
    const last = bodies.at(-1)
    const full = count >= most || bytes + size > mostBytes || (last?.[part].length ?? 0) >= mostOf[part]
    if (last === undefined || full) {
      const body = { run_id: runId, params: [], tags: [], metrics: [] }
      bodies.push(body)
      count = 0
      bytes = Buffer.byteLength(toJson(body))
    }
    bodies.at(-1)?.[part].push(entity)
    count += 1
    bytes += size
  }
  return bodies
}
