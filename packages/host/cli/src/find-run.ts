import { getRun, listRuns } from '@ecokit/flow'
import type { Run } from '@ecokit/flow'
import type { EcosystemRuntime } from '@ecokit/server/ecosystem'
import { UsageError } from './usage.ts'

/** The run of this id, of the only id that begins so, or the `latest`. */
export const findRun = async ({ store }: Pick<EcosystemRuntime, 'store'>, id: string): Promise<Run> => {
  const wanted = id === 'latest' ? { limit: 1 } : { startsWith: id, limit: 100 }
  const matching = id === '' ? [] : await listRuns(store, wanted)
  const found = matching.find((run) => run.id === id) ?? matching[0]
  const run = found && (await getRun(store, found.id))
  if (run === undefined) throw new UsageError(`there is no run ${id}. List them with \`ecokit runs\``)
  if (matching.length > 1 && run.id !== id)
    throw new UsageError(`${matching.length} runs begin with ${id}. Write more of the id`)
  return run
}
