import { isIntegrationError } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'
import { connect } from '../src/index.ts'
import type { Runtime } from '../src/index.ts'
import { platform } from './platform.ts'

/** A connection to the platform under its name in these tests. */
export const openPlatform = (url: string, runtime: Runtime = {}) =>
  connect(
    platform,
    { name: 'notes-prod', config: { url }, credentials: { scheme: 'token', token: 'canary-1' } },
    runtime,
  )

/** What a call ends with; a sequence is drained. */
export const failure = async (work: () => unknown): Promise<IntegrationError> => {
  try {
    const result = await work()
    if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result)
      for await (const _item of result as AsyncIterable<unknown>);
  } catch (error) {
    if (isIntegrationError(error)) return error
    throw error
  }
  throw new Error('it did not fail')
}
