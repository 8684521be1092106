import { spawn } from 'node:child_process'
import { integrationError, toJson } from '@ecokit/contracts'
import { withRuntime } from '../open.ts'
import type { Terminal } from '../output/terminal.ts'
import { visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'
import { statusView } from './auth.ts'

type Step = Parameters<Parameters<NonNullable<Runtime['login']>>[0]['show']>[0]
type Runtime = Awaited<ReturnType<Parameters<Parameters<typeof withRuntime>[1]>[0]['connect']>>['auth']

const openers: Partial<Readonly<Record<NodeJS.Platform, readonly [string, ...string[]]>>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
}
/** Opens the address in whatever shows web pages here; that nothing does is no fault, for it is printed too. */
const openBrowser = (url: string): void => {
  // The address may come from the partner: what is no web page would open some other program.
  if (!/^https?:\/\//i.test(url)) return
  const [program, ...words] = openers[process.platform] ?? ['xdg-open']
  spawn(program, [...words, url], { detached: true, stdio: 'ignore' })
    .on('error', () => undefined)
    .unref()
}

/** Where the browser comes back to on this machine; undefined where it does not. */
const loopbackPort = (url: string): string | undefined => {
  const redirect = URL.parse(url)?.searchParams.get('redirect_uri')
  const back = redirect === null || redirect === undefined ? null : URL.parse(redirect)
  return back !== null && ['127.0.0.1', 'localhost', '[::1]'].includes(back.hostname) ? back.port : undefined
}

const tell = (
  { note, paintNote }: Terminal,
  partner: string,
  { url, code, expiresAt }: Step,
  remote: boolean,
): void => {
  const until = expiresAt === undefined ? '' : ` (until ${new Date(expiresAt).toLocaleTimeString()})`
  const port = remote ? loopbackPort(url) : undefined
  note(
    [
      `To log in to ${partner}, open this address:\n\n  ${paintNote('cyan', visible(url))}\n`,
      code === undefined ? '' : `\nand type this code there${until}: ${paintNote('bold', visible(code))}\n`,
      port === undefined
        ? ''
        : `\nThe browser comes back to this machine. From yours, first: ssh -L ${port}:127.0.0.1:${port} <this machine>\n`,
      '\nWaiting; Ctrl-C gives up.\n',
    ].join(''),
  )
}

/** Runs a partner's interactive login and keeps what it gives in the vault. */
export const login = (
  invocation: Invocation,
  partner: string,
  options: { readonly browser: boolean },
): Promise<number> =>
  withRuntime(invocation, async (runtime, signal) => {
    const { terminal, json } = invocation
    const connection = await runtime.connect(partner)
    try {
      const begin = connection.auth.login?.bind(connection.auth)
      const { scheme } = await runtime.registry.get(partner)
      if (begin === undefined)
        throw new UsageError(
          `${partner} needs no login: ${scheme === undefined ? 'it takes no credentials' : `its scheme ${scheme} works without a person`}. See: ecokit auth status ${partner}`,
        )
      // Before somebody goes through a login: without a key there is no place for its tokens.
      await runtime.safe.vault()
      const remote = process.env['SSH_CONNECTION'] !== undefined
      const status = await runtime.safe.recorded({ action: 'login', target: `partner/${partner}` }, () =>
        begin({
          signal,
          show: async (step) => {
            if (json) await terminal.out(`${JSON.stringify({ partner, ...step })}\n`)
            else tell(terminal, partner, step, remote)
            if (options.browser && !remote) openBrowser(step.url)
          },
        }),
      )
      if (status.state !== 'ready')
        throw integrationError('unauthenticated', {
          partner,
          what: `the login ended without a token${status.reason === undefined ? '' : `: ${status.reason}`}`,
          next: `Try again: ecokit login ${partner}`,
          details: {},
        })
      const view = statusView(partner, scheme, status)
      if (json) await terminal.out(`${toJson(view)}\n`)
      else
        terminal.note(
          `Logged in to ${partner}${view.expiresAt === null ? '' : `; the token is renewed by itself before ${view.expiresAt}`}.\n`,
        )
      return exits.done
    } finally {
      await connection.close()
    }
  })
