import { basic, bearer, none } from '@ecokit/auth'
import { defineConnector, stream } from '@ecokit/contracts'
import { openMlflowRest } from '@ecokit/protocol-mlflow-rest'
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
import { listReader } from './streams/lists.ts'
import { metricReader } from './streams/metrics.ts'
import { runReader } from './streams/runs.ts'

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
      experiments: stream({ schema: experimentRow, primaryKey: ['experiment_id'], cursor: 'last_update_time' }),
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
      }),
      model_versions: stream({
        schema: modelVersionRow,
        primaryKey: ['name', 'version'],
        cursor: 'last_updated_timestamp',
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
      read: {
        experiments: listReader({
          name: 'experiments',
          partner,
          page: (pageToken, pageSize, options) =>
            api.experiments.page({ view: 'all', orderBy: ['creation_time ASC'], pageSize, pageToken }, options),
          record: experimentRecord,
          changedAt: ({ updatedAt }) => updatedAt,
        }),
        runs: runReader(api, partner, lag),
        metrics: metricReader(api, partner, lag),
        registered_models: listReader({
          name: 'registered_models',
          partner,
          page: (pageToken, pageSize, options) =>
            api.models.page({ orderBy: ['name ASC'], pageSize, pageToken }, options),
          record: registeredModelRecord,
          changedAt: ({ updatedAt }) => updatedAt,
        }),
        model_versions: listReader({
          name: 'model_versions',
          partner,
          page: (pageToken, pageSize, options) =>
            api.versions.page({ orderBy: ['creation_timestamp ASC'], pageSize, pageToken }, options),
          record: modelVersionRecord,
          changedAt: ({ updatedAt }) => updatedAt,
        }),
      },
    }
  },
)
