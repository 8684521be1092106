import { toIntegrationError } from '@ecokit/contracts'
import { fetchPartners, followEvents, type Target } from './client.ts'
import type { Located } from './location.ts'
import { nothing, withConnection, withEvent, withPartners, type Connection, type Model } from './model.ts'
import type { ServerEvent } from './wire.ts'

export interface FollowOptions {
  readonly locate: () => Promise<Located>
  /** Called with each new model; `changed` names the only partner that differs, where it is only one. */
  readonly onChange: (model: Model, changed: string | undefined) => void
  readonly onProblem?: (message: string) => void
  /** Between two attempts: doubled from `firstMs` to `maxMs`, with up to a quarter taken off at random. */
  readonly backoff?: { readonly firstMs: number; readonly maxMs: number }
  readonly random?: () => number
}

export interface Following {
  model(): Model
  /** The server that is connected. */
  target(): Target | undefined
  /** Ends a wait: something has happened that may have brought the server back. */
  poke(): void
  /** Starts anew: the address or the token may be another one. */
  restart(): void
  /** Settles when everything has ended. */
  close(): Promise<void>
}

/** Fetches the list and follows the events of one server until the connection ends; always throws or returns, never hangs. */
const followOnce = async (
  target: Target,
  on: {
    readonly list: (partners: Awaited<ReturnType<typeof fetchPartners>>) => void
    readonly event: (event: ServerEvent) => void
  },
  signal: AbortSignal,
): Promise<void> => {
  const session = new AbortController()
  const ends = AbortSignal.any([signal, session.signal])
  // Events that arrive before the list may be newer than it: they are kept, and applied after it.
  let waiting: ServerEvent[] | undefined = []
  let failure: unknown
  const list = async (): Promise<void> => {
    try {
      on.list(await fetchPartners(target, ends))
      for (const event of waiting ?? []) on.event(event)
      waiting = undefined
    } catch (error) {
      failure = error
      session.abort()
    }
  }
  try {
    await followEvents(
      target,
      {
        open: () => void list(),
        event: (event) => {
          if (waiting === undefined) on.event(event)
          else waiting.push(event)
        },
      },
      ends,
    )
  } catch (error) {
    throw failure ?? error
  } finally {
    session.abort()
  }
}

/** Keeps a model of the server up to date, for as long as it is open, through restarts of the server. */
export const follow = (options: FollowOptions): Following => {
  const { backoff = { firstMs: 500, maxMs: 10_000 }, random = Math.random } = options
  const closing = new AbortController()
  let session = new AbortController()
  let model = nothing
  let target: Target | undefined
  let reported = false
  let poked = false
  let endWait = (): void => {}

  const change = (next: Model, changed?: string): void => {
    model = next
    options.onChange(model, changed)
  }
  const connection = (next: Connection): void => {
    if (!reported || JSON.stringify(next) !== JSON.stringify(model.connection)) change(withConnection(model, next))
    reported = true
  }
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (poked) {
        resolve()
        return
      }
      const timer = setTimeout(resolve, ms)
      endWait = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const look = async (): Promise<Located> => {
    try {
      return await options.locate()
    } catch (error) {
      options.onProblem?.(toIntegrationError(error).message)
      return { kind: 'absent' }
    }
  }
  /** One attempt; true when the server was live. */
  const attempt = async (): Promise<boolean> => {
    poked = false
    const located = await look()
    if (located.kind !== 'found') {
      if (located.kind === 'absent') connection({ kind: 'absent' })
      else connection({ kind: 'refused', url: located.url, reason: located.reason })
      return false
    }
    const { url } = located
    // A server that was down stays down in the view until it answers: no flicker at each attempt.
    if (model.connection.kind !== 'down') connection({ kind: 'connecting', url })
    let live = false
    const signal = AbortSignal.any([closing.signal, session.signal])
    try {
      const list = (partners: Parameters<typeof withPartners>[1]): void => {
        live = true
        target = located
        change(withPartners(withConnection(model, { kind: 'live', url }), partners))
      }
      const event = (event: ServerEvent): void => {
        const known = event.kind !== 'removed' && model.partners.some(({ name }) => name === event.name)
        change(withEvent(model, event), known ? event.name : undefined)
      }
      await followOnce(located, { list, event }, signal)
      connection({ kind: 'down', url, reason: `the server at ${url} has ended` })
    } catch (error) {
      if (signal.aborted) return true
      const { code, message } = toIntegrationError(error)
      options.onProblem?.(message)
      connection({ kind: code === 'unauthenticated' ? 'refused' : 'down', url, reason: message })
    } finally {
      target = undefined
    }
    return live
  }

  const run = async (): Promise<void> => {
    for (let failures = 0; !closing.signal.aborted;) {
      session = new AbortController()
      failures = (await attempt()) ? 0 : failures + 1
      const longest = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(failures, 20))
      await pause(longest * (1 - random() / 4))
    }
  }
  const done = run()

  return {
    model: () => model,
    target: () => target,
    poke: () => {
      poked = true
      endWait()
    },
    restart: () => {
      session.abort()
      poked = true
      endWait()
    },
    close: async () => {
      closing.abort()
      poked = true
      endWait()
      await done
    },
  }
}
