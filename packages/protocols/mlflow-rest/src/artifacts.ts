import { integrationError, type CallOptions, type Http, type Reply } from '@ecokit/contracts'
import { caller, type Page, type Wire } from './calls.ts'
import * as wire from './wire.ts'

type Body = Uint8Array | ReadableStream<Uint8Array>

const anchor = '/mlflow-artifacts/artifacts/'
/** Where a run's artifacts stand below the artifact proxy; undefined when they are kept elsewhere (`s3://…`). As _get_proxied_run_artifact_destination_path in mlflow/server/handlers.py. */
const proxied = (root: string): string | undefined => {
  const own = /^mlflow-artifacts:(?:\/\/[^/]*)?\/*(.*)$/.exec(root)
  if (own !== null) return own[1]
  const at = /^https?:/.test(root) ? root.indexOf(anchor) : -1
  return at < 0 ? undefined : root.slice(at + anchor.length)
}
const encoded = (path: string): string => path.split('/').map(encodeURIComponent).join('/')

export interface ArtifactsWire extends Wire {
  /** A way out with time for large files. */
  readonly transfer: Http
  /** `api/2.0/mlflow-artifacts/artifacts/`. */
  readonly artifactsPath: string
}

export const openArtifacts = (base: ArtifactsWire) => {
  const { http, get } = caller(base)
  const page = (runId: string, path: string | undefined, pageToken: string | undefined, options?: CallOptions) =>
    http.json(get('artifacts/list', { run_id: runId, path, page_token: pageToken }), wire.filesPage, options)
  const rootOf = async (runId: string, options?: CallOptions): Promise<string> =>
    (await http.json(get('runs/get', { run_id: runId }), wire.runReply, options)).run.artifactUri ?? ''
  const stranger = (what: 'download' | 'upload', path: string, { status, headers }: Reply) =>
    integrationError('invalid_reply', {
      partner: base.partner,
      what: `the ${what} of ${path} was answered with ${status} and something that MLflow does not say (${headers.get('content-type') ?? 'no content type'})`,
      next: 'Look whether the file is there, and whether a proxy or a login page stands before the server',
      details: { status },
    })
  return {
    /** One folder of a run's artifacts, its root without a path; a file or nothing gives an empty page. */
    page: (
      asked: { runId: string; path?: string | undefined; pageToken?: string | undefined },
      options?: CallOptions,
    ): Promise<Page<wire.MlflowFile>> => page(asked.runId, asked.path, asked.pageToken, options),

    /** The bytes of one file; `not_found` when it is not there. Through the artifact proxy where the run uses it, else through the server's own access to the store. */
    download: async (runId: string, path: string, options?: CallOptions): Promise<Reply> => {
      const place = proxied(await rootOf(runId, options))
      const reply = await base.transfer.request(
        place === undefined
          ? { method: 'GET', path: 'get-artifact', query: { run_id: runId, path } }
          : { method: 'GET', path: base.artifactsPath + encoded(`${place}/${path}`) },
        options,
      )
      // MLflow gives every artifact as an attachment (mlflow/server/handlers.py); a login page that says 200 in its place is none.
      if (/^attachment/i.test(reply.headers.get('content-disposition') ?? '')) return reply
      await reply.body.cancel()
      throw stranger('download', path, reply)
    },

    /** Stores bytes as a file, over what stood there; `unsupported` where the run's artifacts do not go through the server. */
    upload: async (runId: string, path: string, body: Body, options?: CallOptions): Promise<void> => {
      const root = await rootOf(runId, options)
      const place = proxied(root)
      if (place === undefined)
        throw integrationError('unsupported', {
          partner: base.partner,
          what: `the artifacts of run ${runId} are kept at ${root.split(':')[0] ?? ''}:, past the MLflow server`,
          next: 'Start the server with --serve-artifacts and an mlflow-artifacts: root, or store the file there by other means',
          details: { what: 'artifacts.upload' },
        })
      const reply = await base.transfer.request(
        { method: 'PUT', path: base.artifactsPath + encoded(`${place}/${path}`), body },
        options,
      )
      const answer = await new Response(reply.body).text()
      // A login page or a proxy may say 200 in the server's place, and then nothing is stored. MLflow answers `{}` (_upload_artifact in mlflow/server/handlers.py) or nothing (3.17).
      if (answer.trim() !== '' && !/^\s*\{/.test(answer)) throw stranger('upload', path, reply)
    },
  }
}
