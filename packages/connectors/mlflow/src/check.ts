import { isIntegrationError, type CallOptions, type Checked, type PartState } from '@ecokit/contracts'
import type { MlflowRest } from '@ecokit/protocol-mlflow-rest'

const partState = (error: unknown): PartState =>
  isIntegrationError(error, 'forbidden') || isIntegrationError(error, 'unauthenticated') ? 'denied' : 'unavailable'

/** Three small requests: the search of experiments decides, the registry is a part of its own, and a server that does not say its version is none the worse. */
export const check = async (api: MlflowRest, options: CallOptions): Promise<Checked> => {
  await api.experiments.page({ pageSize: 1 }, options)
  const [models, version] = await Promise.allSettled([api.models.page({ pageSize: 1 }, options), api.version(options)])
  options.signal?.throwIfAborted()
  const parts = { experiments: 'ok', models: models.status === 'fulfilled' ? 'ok' : partState(models.reason) } as const
  const said = version.status === 'fulfilled' && /^\d+\.\d[\w.+-]*$/.test(version.value) ? version.value : undefined
  return { parts, ...(said === undefined ? {} : { version: said }) }
}
