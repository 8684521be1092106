/* eslint-disable @typescript-eslint/unbound-method -- what a connector opens is made of closures */
import { Buffer } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { connect as openSocket } from 'node:net'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import { integrationError, isIntegrationError, secret } from '@ecokit/contracts'
import type { CallOptions, Http } from '@ecokit/contracts'
import { bend, bendOperations, getPage, operation, Page, unread } from './bend.ts'
import type { Bad } from './bend.ts'
import { Note, notes, notesCapability } from './notes.ts'

const { auth } = notes.manifest

export const callsBreakers = (elsewhere: string): readonly Bad[] => [
  {
    rule: 'open.quiet',
    does: 'reads a file when it is opened',
    connector: bend({}, () => {
      void readFile(new URL(import.meta.url))
      return {}
    }),
  },
  {
    rule: 'open.complete',
    does: 'has a stream that it does not declare',
    connector: bend({}, ({ read }) => ({ read: { ...read, more: read.notes } })),
  },
  {
    rule: 'hosts.declared',
    does: 'calls home',
    connector: bendOperations(({ get }) => ({
      get: async (input, options) => {
        await fetch(elsewhere).then((reply) => reply.text())
        return get(input, options)
      },
    })),
  },
  {
    rule: 'check.healthy',
    does: 'finds fault with everything',
    connector: bend({}, ({ check }) => ({
      check: async (options: CallOptions) => ({ ...(await check(options)), parts: { notes: 'denied' } }),
    })),
  },
  {
    rule: 'check.cheap',
    does: 'checks four times over',
    connector: bend({}, ({ check }) => ({
      check: async (options: CallOptions) => {
        for (let time = 0; time < 3; time += 1) await check(options)
        return check(options)
      },
    })),
  },
  {
    rule: 'check.unreachable',
    does: 'calls a partner that is away degraded',
    connector: bend({}, ({ check }) => ({
      check: (options: CallOptions) =>
        check(options).catch((error: unknown) => {
          if (isIntegrationError(error, 'unavailable') && error.details.status === undefined)
            return { parts: { notes: 'unavailable' } }
          throw error
        }),
    })),
  },
  {
    rule: 'check.hanging',
    does: 'does not listen to the signal of its check',
    connector: bend({}, ({ check }) => ({ check: () => check({}) })),
  },
  {
    rule: 'check.stranger',
    does: 'is content with any answer',
    connector: bend({}, (_session, { http, config: { url } }) => ({
      check: async (options: CallOptions) => {
        await text((await http(url).request({ method: 'GET', path: 'about' }, options)).body)
        return {}
      },
    })),
  },
  {
    rule: 'operations.samples',
    does: 'answers with a number for an id',
    connector: bendOperations(({ get }) => ({
      get: async (input, options) => ({ ...(await get(input, options)), id: 5 as never }),
    })),
  },
  {
    rule: 'operations.input',
    does: 'drops unknown keys of its input',
    connector: bend(operation({ get: { ...notesCapability.operations.get, input: z.object({ id: z.string() }) } })),
  },
  {
    rule: 'operations.stop',
    does: 'reads on when nobody listens',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      async *list(_input, options) {
        const api = http(url)
        let from: string | undefined = '0'
        let page = getPage(api, from, options)
        while (from !== undefined) {
          const { items, next } = await page
          from = next
          if (next !== undefined) page = getPage(api, next, options)
          page.catch(() => undefined)
          yield* items
        }
      },
    })),
  },
  {
    rule: 'cancel.operations',
    does: 'does not listen to the signal',
    connector: bendOperations(({ get }) => ({ get: (input) => get(input, {}) })),
  },
  {
    rule: 'cancel.streams',
    does: 'does not listen to the signal while it begins',
    connector: bend({}, ({ check, read }) => ({
      read: {
        async *notes(options: Parameters<typeof read.notes>[0]) {
          await check({})
          yield* read.notes(options)
        },
      },
    })),
  },
  {
    rule: 'cancel.middle',
    does: 'does not listen to the signal from the second page on',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      async *list(_input, options) {
        let { items, next } = await getPage(http(url), '0', options)
        yield* items
        while (next !== undefined) {
          ;({ items, next } = await getPage(http(url), next, {}))
          yield* items
        }
      },
    })),
  },
  {
    rule: 'errors.status',
    does: 'takes a bad request for a conflict',
    connector: bend({}, (_session, opening) =>
      notes.open({
        ...opening,
        http: (url) =>
          opening.http(url, { explain: ({ status }) => (status === 400 ? { code: 'conflict' } : undefined) }),
      }),
    ),
  },
  {
    rule: 'errors.garbage',
    does: 'makes a note of anything',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      get: async ({ id }, options) => {
        const body = await text((await http(url).request({ method: 'GET', path: `notes/${id}` }, options)).body)
        try {
          return Note.parse(JSON.parse(body))
        } catch {
          return { id, text: body, seq: 0 }
        }
      },
    })),
  },
  {
    rule: 'errors.shape',
    does: 'believes what it is sent',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      get: async ({ id }, options) => {
        const found = (await http(url).json({ method: 'GET', path: `notes/${id}` }, z.unknown(), options)) as z.infer<
          typeof Note
        >
        return { ...found, id: found.id.trim() }
      },
    })),
  },
  {
    rule: 'errors.broken',
    does: 'takes a broken line for a missing note',
    connector: bendOperations(({ get }, { name }) => ({
      get: (input, options) =>
        get(input, options).catch((error: unknown) => {
          if (isIntegrationError(error, 'unavailable') && error.details.status === undefined)
            throw integrationError('not_found', { partner: name, what: 'there is no such note', details: {} })
          throw error
        }),
    })),
  },
  {
    rule: 'errors.retry-after',
    does: 'does not say that its POST only reads',
    connector: bendOperations((_operations, { http, config: { url } }) => ({
      async *search({ word }, options) {
        const api = http(url)
        const paging = {
          kind: 'token',
          in: 'body',
          parameter: 'from',
          next: (page: z.infer<typeof Page>) => page.next,
        } as const
        for await (const page of api.pages({ method: 'POST', path: 'search', body: { word } }, Page, paging, options))
          yield* page.items
      },
    })),
  },
  {
    rule: 'errors.middle',
    does: 'takes a refusal for the end',
    connector: bendOperations(({ list }) => ({
      async *list(input, options) {
        let given = 0
        try {
          for await (const note of list(input, options)) {
            given += 1
            yield note
          }
        } catch (error) {
          if (given === 0 || !isIntegrationError(error, 'forbidden')) throw error
        }
      },
    })),
  },
  {
    rule: 'secrets.errors',
    does: 'shows its password as an account',
    connector: bend(
      {
        auth: {
          ...auth,
          password: {
            kind: 'password',
            credentials: z.strictObject({ password: secret() }),
            exposed: true,
            open: () => ({ authorize: () => {} }),
          },
        },
      },
      ({ check }, { credentials }) => ({
        check: (options: CallOptions) =>
          'password' in credentials
            ? Promise.resolve({
                account: Buffer.from(String(credentials.password)).toString('base64'),
                parts: { notes: 'denied' },
              })
            : check(options),
      }),
    ),
    options: unread,
  },
  {
    rule: 'secrets.urls',
    does: 'sends its token in the query',
    connector: bend({
      auth: {
        token: {
          ...auth.token,
          open: (credentials: { token: string }) => ({
            authorize: (request: { headers: Headers; url: URL }) => {
              request.headers.set('authorization', `Bearer ${credentials.token}`)
              request.url.searchParams.set('token', credentials.token)
            },
          }),
        },
      },
    }),
  },
  {
    rule: 'close.twice',
    does: 'cannot be closed unused',
    connector: bend({}, (_session, opening) => {
      let used = false
      const noticed = (api: Http) =>
        new Proxy(api, {
          get: (target, name) => {
            used = true
            return Reflect.get(target, name) as unknown
          },
        })
      return {
        ...notes.open({ ...opening, http: (url) => noticed(opening.http(url)) }),
        close: () => (used ? Promise.resolve() : Promise.reject(new Error('nothing to close'))),
      }
    }),
    options: (options) => ({ ...options, without: { entries: 'connect reads it without the session' } }),
  },
  {
    rule: 'close.pending',
    does: 'calls its own end an outage',
    connector: bend({}, ({ provides }, { name }) => {
      let closing = false
      const { get } = provides.notes
      return {
        provides: {
          notes: {
            ...provides.notes,
            get: (input: { id: string }, options: CallOptions) =>
              get(input, options).catch((error: unknown) => {
                throw closing ? integrationError('unavailable', { partner: name, what: 'gone', details: {} }) : error
              }),
          },
        },
        close: () => {
          closing = true
          return Promise.resolve()
        },
      }
    }),
  },
  {
    rule: 'close.sockets',
    does: 'keeps a socket of its own',
    connector: bendOperations(({ get }, { config: { url } }) => ({
      get: (input, options) => {
        openSocket(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined)
        return get(input, options)
      },
    })),
  },
]
