import { authorizationCode, bearer, clientCredentials, deviceCode, none } from '@ecokit/auth'
import { defineConnector } from '@ecokit/contracts'
import { z } from 'zod'

const issuer = { issuer: '{issuer}', scopes: ['openid', 'offline_access'] }
/** A platform that people log in to; what it answers to is the issuer's own account page. */
export const crm = defineConnector(
  {
    id: 'crm',
    title: 'CRM',
    config: z.strictObject({ issuer: z.url() }),
    hosts: ['{issuer}'],
    auth: {
      none: none(),
      token: bearer(),
      browser: authorizationCode({ ...issuer, authorizeParameters: { prompt: 'consent' } }),
      device: deviceCode(issuer),
      machine: clientCredentials({ issuer: '{issuer}' }),
    },
  },
  ({ http, config }) => ({
    check: async (options) => {
      const { sub } = await http(config.issuer).json(
        { method: 'GET', path: '/me' },
        z.object({ sub: z.string() }),
        options,
      )
      return { account: sub }
    },
  }),
)
