import { Buffer } from 'node:buffer'
import type { CallOptions, Http, OpenHttp } from '@ecokit/contracts'
import { openArtifacts } from './artifacts.ts'
import type { Wire } from './calls.ts'
import { explain } from './explain.ts'
import { openModels, openVersions } from './registry.ts'
import { openExperiments, openMetrics, openRuns } from './tracking.ts'

const transferTimeoutMs = 10 * 60_000

export interface MlflowRestOptions {
  readonly http: OpenHttp
  /** The tracking server, with a path when it stands behind one; `https://<workspace>` for Databricks. */
  readonly url: string
  /** The connection's name, for messages. */
  readonly partner: string
  /** Where the interface begins. Default `api/2.0/`. */
  readonly apiPath?: string
}

const textOf = async (http: Http, path: string, options?: CallOptions): Promise<string> =>
  Buffer.from((await http.bytes({ method: 'GET', path }, options)).bytes)
    .toString('utf8')
    .trim()

/** A client for MLflow's REST interface (https://mlflow.org/docs/latest/rest-api). Does no I/O by itself. */
export const openMlflowRest = ({ http, url, partner, apiPath = 'api/2.0/' }: MlflowRestOptions) => {
  const plain = http(url, { explain })
  const base: Wire = { partner, http: plain, path: `${apiPath}mlflow/` }
  return {
    partner,
    experiments: openExperiments(base),
    runs: openRuns(base),
    metrics: openMetrics(base),
    models: openModels(base),
    versions: openVersions(base),
    artifacts: openArtifacts({
      ...base,
      transfer: http(url, { explain, timeoutMs: transferTimeoutMs }),
      artifactsPath: `${apiPath}mlflow-artifacts/artifacts/`,
    }),
    /** The server's own word that it runs; it needs no credentials, and Databricks has none. */
    health: (options?: CallOptions): Promise<string> => textOf(plain, 'health', options),
    /** `3.17.2`; Databricks has none. */
    version: (options?: CallOptions): Promise<string> => textOf(plain, 'version', options),
  }
}
export type MlflowRest = ReturnType<typeof openMlflowRest>
