import { getRun, listRuns } from '@ecokit/flow'
import type { Run } from '@ecokit/flow'
import type { EcosystemRuntime } from '@ecokit/server/ecosystem'
import { UsageError } from './usage.ts'

/** The run of this id, of the only id that begins so, or the `latest`. */
export const findRun = async ({ store }: Pick<EcosystemRuntime, 'store'>, id: string): Promise<Run> => {
  const matching = (await listRuns(store, { limit: 500 })).filter((run) => id === 'latest' || run.id.startsWith(id))
  const [found, second] = matching
  const run = (await getRun(store, id)) ?? found
  if (run === undefined || id === '') throw new UsageError(`there is no run ${id}. List them with \`ecokit runs\``)
  if (second !== undefined && id !== 'latest' && run.id !== id)
    throw new UsageError(`${matching.length} runs begin with ${id}. Write more of the id`)
  return run
}
