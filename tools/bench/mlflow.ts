// node mlflow.ts <undici | stream> <url>: every run of a real MLflow server, once by hand and once by the connector's stream.
import { report } from './measure.ts'

const [variant = 'undici', url = ''] = process.argv.slice(2)

const bare = async (): Promise<number> => {
  const { Pool } = await import('undici')
  const pool = new Pool(url, { connections: 1 })
  const ask = async (path: string, body: object): Promise<Record<string, unknown>> =>
    (await (
      await pool.request({
        path: `/api/2.0/mlflow/${path}`,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    ).body.json()) as Record<string, unknown>
  const { experiments } = (await ask('experiments/search', { max_results: 1000, view_type: 'ALL' })) as {
    experiments: { experiment_id: string }[]
  }
  let count = 0
  let token: unknown
  do {
    const page = await ask('runs/search', {
      experiment_ids: experiments.map((item) => item.experiment_id),
      max_results: 1000,
      run_view_type: 'ALL',
      page_token: token,
    })
    count += (page['runs'] as unknown[] | undefined)?.length ?? 0
    token = page['next_page_token']
  } while (typeof token === 'string' && token !== '')
  return count
}

const ours = async (): Promise<number> => {
  const { connect, mlflow } = await import('@ecokit/connector-mlflow')
  const tracking = connect(mlflow, { config: { trackingUri: url }, credentials: { scheme: 'none' } })
  let count = 0
  for await (const batch of tracking.read('runs')) if (batch.encoding === 'records') count += batch.records.length
  await tracking.close()
  return count
}

await report(async () => ({ count: await (variant === 'undici' ? bare() : ours()) }))
process.exit()
