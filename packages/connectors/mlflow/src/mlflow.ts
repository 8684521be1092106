import { basic, bearer, none } from '@ecokit/auth'
import { defineConnector, stream } from '@ecokit/contracts'
import { experiment, explain, modelVersion, openMlflowRest, registeredModel } from '@ecokit/protocol-mlflow-rest'
import {
  artifacts as artifactsCapability,
  experiments as experimentsCapability,
  metrics as metricsCapability,
  models as modelsCapability,
  runs as runsCapability,
} from '@ecokit/template-mlops'
import { artifacts } from './capabilities/artifacts.ts'
import { experiments } from './capabilities/experiments.ts'
import { models } from './capabilities/models.ts'
import { metrics, runs } from './capabilities/runs.ts'
import { check } from './check.ts'
import { config } from './config.ts'
import {
  experimentRecord,
  experimentRow,
  metricRow,
  modelVersionRecord,
  modelVersionRow,
  registeredModelRecord,
  registeredModelRow,
  runRow,
} from './records.ts'
import { metricReader } from './streams/metrics.ts'
import { runReader } from './streams/runs.ts'

/**
 * Experiments and the registry have no filter that finds every change: tags and aliases move no timestamp (mlflow/store/tracking/sqlalchemy_store.py and
 * store/model_registry/sqlalchemy_store.py). They are short, so they are listed whole each time, a thousand in a request, and compared.
 */
const listed = (where: 'query' | 'body') =>
  ({
    base: '{trackingUri}/api/2.0/mlflow',
    mayLack: true,
    paging: { kind: 'token', in: where, parameter: 'page_token', next: 'next_page_token' },
    pageSize: { in: where, parameter: 'max_results', size: 1_000 },
    changes: 'compare',
    http: { explain },
  }) as const

/** MLflow 3: a tracking server and its model registry, over the REST interface. */
export const mlflow = defineConnector(
  {
    id: 'mlflow',
    title: 'MLflow',
    description: 'Experiments, runs, metrics, registered models and artifacts of an MLflow tracking server.',
    config,
    hosts: ['{trackingUri}'],
    dataset: { namespace: '{trackingUri}', name: '{table}' },
    auth: { none: none(), token: bearer(), basic: basic() },
    provides: {
      experiments: experimentsCapability,
      runs: runsCapability,
      metrics: metricsCapability,
      models: modelsCapability,
      artifacts: artifactsCapability,
    },
    streams: {
      experiments: stream({
        schema: experimentRow,
        primaryKey: ['experiment_id'],
        cursor: 'last_update_time',
        rest: {
          ...listed('body'),
          method: 'POST',
          path: 'experiments/search',
          body: { view_type: 'ALL', order_by: ['creation_time ASC'] },
          records: 'experiments',
          wire: experiment,
          map: experimentRecord,
        },
      }),
      runs: stream({ schema: runRow, primaryKey: ['run_id'], cursor: 'end_time' }),
      // The key of MLflow's own table: metric_pk in mlflow/store/tracking/dbmodels/models.py.
      metrics: stream({
        schema: metricRow,
        primaryKey: ['run_id', 'key', 'timestamp', 'step', 'value', 'is_nan'],
        cursor: 'timestamp',
      }),
      registered_models: stream({
        schema: registeredModelRow,
        primaryKey: ['name'],
        cursor: 'last_updated_timestamp',
        rest: {
          ...listed('query'),
          path: 'registered-models/search',
          query: { order_by: 'name ASC' },
          records: 'registered_models',
          wire: registeredModel,
          map: registeredModelRecord,
        },
      }),
      model_versions: stream({
        schema: modelVersionRow,
        primaryKey: ['name', 'version'],
        cursor: 'last_updated_timestamp',
        rest: {
          ...listed('query'),
          path: 'model-versions/search',
          query: { order_by: 'creation_timestamp ASC' },
          records: 'model_versions',
          wire: modelVersion,
          map: modelVersionRecord,
        },
      }),
    },
  },
  ({ config: { trackingUri, lag }, http, name: partner }) => {
    const api = openMlflowRest({ http, url: trackingUri, partner })
    return {
      check: (options) => check(api, options),
      provides: {
        experiments: experiments(api),
        runs: runs(api),
        metrics: metrics(api),
        models: models(api),
        artifacts: artifacts(api),
      },
      read: { runs: runReader(api, partner, lag), metrics: metricReader(api, partner, lag) },
    }
  },
)
