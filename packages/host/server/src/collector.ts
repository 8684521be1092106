import { toJson } from '@ecokit/contracts'
import type { AnyConnection, Shared } from '@ecokit/contracts'
import type { LineageTarget } from '@ecokit/flow'
import { openGuard } from '@ecokit/http'
import type { Registry } from '@ecokit/registry'

/** A collector that does not answer must not hold up the end of a run for long; what it did not take is sent again with the next run. */
const policy = { attempts: 3, deadlineMs: 10_000, connectTimeoutMs: 5_000 }

/** The way of lineage events to the collector that `lineage.url` names (OpenLineage's HTTP transport), through the same door as everything else. */
export interface Collector {
  readonly send: NonNullable<LineageTarget['send']>
  close(): Promise<void>
}

/** Opens it; the connection, and with it the key, is asked for when the first event is sent. */
export const openCollector = (url: string, registry: Pick<Registry, 'connectLineage'>, shared: Shared): Collector => {
  const { origin, pathname: path } = new URL(url)
  const guard = openGuard({ partner: 'lineage', policy, shared })
  let opened: Promise<AnyConnection | undefined> | undefined
  const connection = () => {
    const opening = (opened ??= registry.connectLineage({ guard }))
    // A key that is missing may be there for the next event.
    opening.catch(() => {
      if (opened === opening) opened = undefined
    })
    return opening
  }
  const encoder = new TextEncoder()
  return {
    send: async (event, { signal }) => {
      const http = (await connection())?.http(origin)
      // Sending the same event twice is the same as sending it once: its run id, type and time are its identity.
      const reply = await http?.request(
        {
          ...{ method: 'POST', path, idempotent: true, headers: { 'content-type': 'application/json' } },
          body: encoder.encode(toJson(event)),
        },
        { signal },
      )
      await reply?.body.cancel()
    },
    close: async () => {
      const open = await Promise.resolve(opened).catch(() => undefined)
      await open?.close()
    },
  }
}
