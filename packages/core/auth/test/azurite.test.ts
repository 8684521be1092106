import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startAzurite, type Azurite } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { microsoftEntraSecret } from '../src/index.ts'
import { startIssuers, type Issuers } from './issuers.ts'
import { refusal, through } from './through.ts'

const peer = await requirePeer('azurite')

peer.describe('azurite with OAuth', () => {
  let azurite: Azurite | undefined
  let issuers: Issuers
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ecokit-azurite-'))
    issuers = await startIssuers()
    azurite = await startAzurite({ folder })
  }, 120_000)
  afterAll(async () => {
    await azurite?.stop()
    await issuers.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** Lists containers with a token that the issuer gives as it is set up. */
  const list = async (scope = 'https://storage.azure.com/.default'): Promise<number> => {
    const { tenant, clientId, secret: clientSecret } = issuers.entra
    const scheme = microsoftEntraSecret({ tenant: '{tenantId}', scope, authority: '{authority}' })
    const config = { tenantId: tenant, authority: issuers.url }
    const { http, network } = through(
      scheme,
      { clientId, clientSecret },
      { url: azurite?.url ?? '', config, ca: azurite?.ca ?? '' },
    )
    try {
      const headers = { 'x-ms-version': '2024-08-04', 'x-ms-date': new Date().toUTCString() }
      const reply = await http.request({ method: 'GET', path: '', query: { comp: 'list' }, headers })
      expect(await new Response(reply.body).text()).toContain('<EnumerationResults')
      return reply.status
    } finally {
      await network.close()
    }
  }
  const set = (change: Partial<Issuers['entra']>) => Object.assign(issuers.entra, change)

  test('a valid token is taken', async () => {
    expect(await list()).toBe(200)
  })
  test('an expired token, one for another audience and one of another issuer are `forbidden`', async () => {
    set({ lifetimeSeconds: -30 })
    const expired = await refusal(list())
    set({ lifetimeSeconds: 3600 })
    const audience = await refusal(list('https://management.azure.com/.default'))
    const { issuer } = issuers.entra
    set({ issuer: 'https://evil.example/tenant/' })
    const foreign = await refusal(list())
    set({ issuer })
    expect([expired.code, audience.code, foreign.code]).toEqual(['forbidden', 'forbidden', 'forbidden'])
    expect(await list()).toBe(200)
  })
})
