/** A process with many callers of two partners, to be killed from outside in the middle of a renewal. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isIntegrationError, type Authorizer, type OpenHttp } from '@ecokit/contracts'
import { openNetwork, systemClock } from '@ecokit/http'
import { openShared, openStore } from '@ecokit/store'
import { refreshScheme, type Report, type Task } from './refresh-scheme.ts'

const [database = ''] = process.argv.slice(2)
const callers = 50
const tell = (report: Report): void => void process.send?.(report)
const store = await openStore(database)
const shared = openShared(store)

let posts = 0
/** Tells the parent when a renewal begins, and counts the token requests of this process. */
const watched =
  (open: OpenHttp): OpenHttp =>
  (base, options) => {
    const http = open(base, options)
    return {
      ...http,
      request: (request, given) => {
        if (request.method === 'HEAD') tell({ says: 'renewing' })
        if (request.method === 'POST' && request.path === 'token') posts++
        return http.request(request, given)
      },
    }
  }

const open = (task: Task): Authorizer => {
  let authorizer: Authorizer | undefined
  openNetwork({
    partner: task.partner,
    hosts: ['{issuer}'],
    config: { issuer: task.issuer },
    authorizer: (http) => {
      authorizer = refreshScheme(task.reuseWindowMs).open(
        { clientId: 'app' },
        {
          partner: task.partner,
          config: { issuer: task.issuer },
          http: watched(http),
          tokens: shared,
          now: () => Date.now(),
          sleep: (ms, signal) => systemClock.sleep(ms, signal),
          random: Math.random,
        },
      )
      return authorizer
    },
  })
  if (authorizer === undefined) throw new Error('no authorizer was opened')
  return authorizer
}

const call = async (authorizer: Authorizer): Promise<string> => {
  const headers = new Headers()
  await authorizer.authorize({ method: 'GET', url: new URL(database, 'file:'), headers, body: undefined })
  return headers.get('authorization') ?? ''
}

process.on('message', (task: Task) => {
  void (async () => {
    const authorizer = open(task)
    const tokens = new Set<string>()
    const errors: Record<string, number> = {}
    let calls = 0
    let words = ''
    posts = 0
    const until = Date.now() + task.forMs
    await Promise.all(
      Array.from({ length: callers }, async (_, caller) => {
        do {
          calls++
          try {
            tokens.add(await call(authorizer))
          } catch (error) {
            const code = isIntegrationError(error) ? error.code : String(error)
            errors[code] = (errors[code] ?? 0) + 1
            words = error instanceof Error ? error.message : ''
          }
          if (task.forMs > 0) await sleep(5 + ((caller * 7) % 40))
        } while (Date.now() < until)
      }),
    )
    tell({ says: 'done', calls, posts, tokens: [...tokens], errors, words })
  })()
})
tell({ says: 'ready' })
