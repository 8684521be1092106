import { integrationError } from '@ecokit/contracts'
import type { OpenSocket } from '@ecokit/contracts'
import { z } from 'zod'

/** How the way to the server is protected, in the words of PostgreSQL's own clients. */
export const sslModes = ['disable', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof sslModes)[number]

const name = (title: string) =>
  z
    .string()
    .min(1)
    .regex(/^[^\0]+$/, 'a name')
    .meta({ title })
export const config = z.strictObject({
  host: z
    .string()
    .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/, 'a host name or an IPv4 address, without scheme and port')
    .meta({ title: 'Host name or IPv4 address' }),
  port: z.int().min(1).max(65_535).default(5432),
  database: name('Database'),
  schema: name('Schema in which tables are written, and whose tables have no prefix').default('public'),
  ssl: z
    .enum(sslModes)
    .optional()
    .meta({ title: 'TLS; default verify-full, and disable for this machine', examples: ['verify-full'] }),
  ca: z
    .string()
    .regex(/-----BEGIN CERTIFICATE-----/, 'a certificate in PEM')
    .optional()
    .meta({ title: 'Certificate authority of the server, as PEM text; only it is trusted then' }),
})
export type Config = z.output<typeof config>

/** Where one connection leads, and who goes there. */
export interface Place {
  readonly partner: string
  readonly config: Config
  readonly ssl: SslMode
  readonly user: string
  /** Absent: the server has to let the user in without one. */
  readonly password: string | undefined
  readonly open: OpenSocket
}

const isHere = (host: string): boolean =>
  host === 'localhost' || host.endsWith('.localhost') || /^127(?:\.\d{1,3}){3}$/.test(host)

export const placeOf = (opening: {
  readonly partner: string
  readonly config: Config
  readonly credentials: { readonly username?: string; readonly password?: string }
  readonly socket: OpenSocket | undefined
}): Place => {
  const { partner, credentials } = opening
  return {
    partner,
    config: opening.config,
    ssl: opening.config.ssl ?? (isHere(opening.config.host) ? 'disable' : 'verify-full'),
    user: credentials.username ?? 'postgres',
    password: credentials.password,
    open:
      opening.socket ??
      (() => {
        throw integrationError('unsupported', {
          partner,
          what: 'this copy of @ecokit/connect opens no sockets',
          next: 'Update @ecokit/connect',
          details: { what: 'socket' },
        })
      }),
  }
}

/** Whether a password may be sent as it is: to this machine, or to a server that has proved who it is. */
export const maySendPassword = ({ config: { host }, ssl }: Place): boolean =>
  isHere(host) || ssl === 'verify-full' || ssl === 'verify-ca'
