import { defineConnector, isIntegrationError, sink } from '@ecokit/contracts'
import type { CallOptions, Checked, OpenHttp, WriteOptions } from '@ecokit/contracts'
import { config, type Config } from './config.ts'
import { schemes } from './schemes.ts'
import { refusePage, textOf } from './send.ts'
import { openWriter } from './write.ts'

/** Answers that come from a server which is there and knows no such question. */
const unasked = [404, 405, 501]

const check = async (
  { url, checkPath, headers }: Config,
  http: OpenHttp,
  partner: string,
  options: CallOptions,
): Promise<Checked> => {
  const asked = checkPath === undefined ? { method: 'OPTIONS', path: '' } : { method: 'GET', path: checkPath }
  try {
    const reply = await http(url).request({ ...asked, effect: 'read', ...(headers && { headers }) }, options)
    await textOf(reply, partner)
    refusePage(reply, partner)
  } catch (error) {
    const status = isIntegrationError(error) && 'status' in error.details ? error.details.status : undefined
    if (checkPath !== undefined || status === undefined || !unasked.includes(status)) throw error
  }
  return {}
}

/** Any endpoint that takes records over HTTP. */
export const httpSink = defineConnector(
  {
    id: 'http-sink',
    title: 'HTTP endpoint',
    description: 'Sends records to any HTTP endpoint in batches, each with an idempotency key.',
    config,
    hosts: ['{url}'],
    dataset: { namespace: '{url}', name: '{table}' },
    auth: schemes,
    sinks: {
      upsert: sink({
        accepts: ['records', 'ndjson'],
        dispositions: ['merge'],
        deletes: ['hard'],
        prunes: false,
        queries: false,
        commit: 'idempotent',
      }),
      append: sink({
        accepts: ['records', 'ndjson'],
        dispositions: ['append'],
        queries: false,
        commit: 'at_least_once',
      }),
    },
  },
  ({ config: chosen, http, name }) => {
    const open = async (options: WriteOptions) => Promise.resolve(openWriter(chosen, http, name, options))
    return {
      check: (options) => check(chosen, http, name, options),
      write: { upsert: open, append: open },
    }
  },
)
