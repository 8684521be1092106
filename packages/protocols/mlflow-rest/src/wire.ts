import { z } from 'zod'

/**
 * What MLflow's REST interface answers: only the fields that are read, lenient, and turned into the shapes that the rest of the house uses right here.
 * The messages: mlflow/protos/service.proto and model_registry.proto; how they become JSON: message_to_json in mlflow/utils/proto_json_utils.py of MLflow 3.17
 * (int64 as numbers there, as strings where plain protobuf JSON is spoken; NaN as the string "NaN"; empty lists left out).
 */

const integer = z.union([z.int(), z.bigint(), z.string().regex(/^-?\d{1,19}$/)])
/** Epoch milliseconds; undefined where the partner holds none. */
const time = integer.nullish().transform((value) => (value == null ? undefined : Number(value)))
const exactInteger = integer.default(0).transform((value) => BigInt(value))
const real = z.union([z.number(), z.bigint(), z.enum(['NaN', 'Infinity', '-Infinity'])]).transform(Number)
const text = z.string().nullish()
/** Protobuf leaves an empty text out, or writes it. */
const filled = text.transform((value) => (value == null || value === '' ? undefined : value))

const pairs = z
  .array(z.object({ key: z.string(), value: z.string().default('') }))
  .nullish()
  .transform((list): Record<string, string> => Object.fromEntries((list ?? []).map(({ key, value }) => [key, value])))

const token = { next_page_token: filled }
const lifecycle = z.string().default('active')

export const experiment = z
  .object({
    experiment_id: z.string(),
    name: z.string(),
    artifact_location: filled,
    lifecycle_stage: lifecycle,
    creation_time: time,
    last_update_time: time,
    tags: pairs,
  })
  .transform((wire) => ({
    id: wire.experiment_id,
    name: wire.name,
    artifactLocation: wire.artifact_location,
    lifecycle: wire.lifecycle_stage,
    createdAt: wire.creation_time,
    updatedAt: wire.last_update_time,
    tags: wire.tags,
  }))
/** An experiment; times in epoch milliseconds. */
export type MlflowExperiment = z.output<typeof experiment>
export const experimentReply = z.object({ experiment })
export const experimentId = z.object({ experiment_id: z.string() })
export const experimentsPage = z
  .object({ experiments: z.array(experiment).nullish(), ...token })
  .transform((wire) => ({ items: wire.experiments ?? [], next: wire.next_page_token }))

export const metric = z
  .object({ key: z.string(), value: real, timestamp: exactInteger, step: exactInteger })
  .transform(({ key, value, timestamp, step }) => ({ key, value, timestamp, step }))
/** One value of a metric; `timestamp` in epoch milliseconds, exact, since a client may send anything. */
export type MlflowMetric = z.output<typeof metric>

export const run = z
  .object({
    info: z.object({
      run_id: z.string(),
      experiment_id: z.string(),
      run_name: filled,
      user_id: filled,
      status: z.string().default('RUNNING'),
      start_time: time,
      end_time: time,
      artifact_uri: filled,
      lifecycle_stage: lifecycle,
    }),
    data: z
      .object({ metrics: z.array(metric).nullish(), params: pairs, tags: pairs })
      .nullish()
      .transform((data) => ({ metrics: data?.metrics ?? [], params: data?.params ?? {}, tags: data?.tags ?? {} })),
  })
  .transform(({ info, data }) => ({
    id: info.run_id,
    experimentId: info.experiment_id,
    // Runs logged by MLflow up to 1.29 have their name in a tag only (mlflow/store/tracking/sqlalchemy_store.py).
    name: info.run_name ?? data.tags['mlflow.runName'],
    user: info.user_id,
    status: info.status,
    startedAt: info.start_time,
    endedAt: info.end_time,
    artifactUri: info.artifact_uri,
    lifecycle: info.lifecycle_stage,
    ...data,
  }))
/** A run; times in epoch milliseconds; `metrics` holds the last value of each. */
export type MlflowRun = z.output<typeof run>
export const runReply = z.object({ run })
export const runsPage = z
  .object({ runs: z.array(run).nullish(), ...token })
  .transform((wire) => ({ items: wire.runs ?? [], next: wire.next_page_token }))

export const historyPage = z
  .object({ metrics: z.array(metric).nullish(), ...token })
  .transform((wire) => ({ items: wire.metrics ?? [], next: wire.next_page_token }))

const aliases = z
  .array(z.object({ alias: z.string(), version: z.union([z.string(), z.int()]).transform(String) }))
  .nullish()
  .transform((list): Record<string, string> =>
    Object.fromEntries((list ?? []).map(({ alias, version }) => [alias, version])),
  )

export const registeredModel = z
  .object({
    name: z.string(),
    description: filled,
    creation_timestamp: time,
    last_updated_timestamp: time,
    tags: pairs,
    aliases,
  })
  .transform((wire) => ({
    name: wire.name,
    description: wire.description,
    createdAt: wire.creation_timestamp,
    updatedAt: wire.last_updated_timestamp,
    tags: wire.tags,
    aliases: wire.aliases,
  }))
/** A registered model; `aliases` gives the version of each. */
export type MlflowRegisteredModel = z.output<typeof registeredModel>
export const registeredModelReply = z.object({ registered_model: registeredModel })
export const registeredModelsPage = z
  .object({ registered_models: z.array(registeredModel).nullish(), ...token })
  .transform((wire) => ({ items: wire.registered_models ?? [], next: wire.next_page_token }))

export const modelVersion = z
  .object({
    name: z.string(),
    version: z.union([z.string(), z.int()]).transform(String),
    description: filled,
    creation_timestamp: time,
    last_updated_timestamp: time,
    user_id: filled,
    current_stage: filled,
    source: filled,
    run_id: filled,
    status: z.string().default('READY'),
    status_message: filled,
    tags: pairs,
    aliases: z
      .array(z.string())
      .nullish()
      .transform((list) => list ?? []),
  })
  .transform((wire) => ({
    name: wire.name,
    version: wire.version,
    description: wire.description,
    createdAt: wire.creation_timestamp,
    updatedAt: wire.last_updated_timestamp,
    user: wire.user_id,
    stage: wire.current_stage,
    source: wire.source,
    runId: wire.run_id,
    status: wire.status,
    statusMessage: wire.status_message,
    tags: wire.tags,
    aliases: wire.aliases,
  }))
/** A version of a registered model. Searches leave the aliases out (to_mlflow_entity in mlflow/store/model_registry/sqlalchemy_store.py): ask for one version, or for the model. */
export type MlflowModelVersion = z.output<typeof modelVersion>
export const modelVersionReply = z.object({ model_version: modelVersion })
export const modelVersionsPage = z
  .object({ model_versions: z.array(modelVersion).nullish(), ...token })
  .transform((wire) => ({ items: wire.model_versions ?? [], next: wire.next_page_token }))

export const file = z
  .object({ path: z.string(), is_dir: z.boolean().default(false), file_size: time })
  .transform((wire) => ({ path: wire.path, directory: wire.is_dir, size: wire.file_size }))
/** A file or folder among a run's artifacts; `size` in bytes. */
export type MlflowFile = z.output<typeof file>
export const filesPage = z
  .object({ root_uri: filled, files: z.array(file).nullish(), ...token })
  .transform((wire) => ({ items: wire.files ?? [], root: wire.root_uri, next: wire.next_page_token }))

/** An answer of which nothing is read. */
export const anything = z.unknown()

/** The body of an error: mlflow/exceptions.py. */
export const failure = z.object({ error_code: z.string(), message: text })
