import { connect } from '@ecokit/connect'
import { formatReport, testConnector } from '@ecokit/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { featureStore } from '../connector.ts'
import { startPlatform } from '../platform.ts'

let platform: Awaited<ReturnType<typeof startPlatform>>
beforeAll(async () => {
  platform = await startPlatform()
})
afterAll(() => platform.stop())

test('the connector keeps every rule of the contract', async () => {
  const report = await testConnector(featureStore, {
    config: { url: platform.url },
    credentials: { scheme: 'token', token: 'let-me-in' },
    at: (url) => ({ url }),
    samples: { 'catalog.get': { name: 'feature-1' } },
  })
  expect(report.failed, formatReport(report)).toBe(0)
  expect(report.passed).toBeGreaterThan(25)
})

test('it is used like any other', async () => {
  const store = connect(featureStore, {
    config: { url: platform.url },
    credentials: { scheme: 'token', token: 'let-me-in' },
  })
  expect(await store.check()).toMatchObject({ status: 'healthy', version: '1.4' })
  expect(await store.catalog.get({ name: 'feature-0' })).toMatchObject({ type: 'double', owner: null })
  await expect(store.catalog.get({ name: 'nothing' })).rejects.toMatchObject({ code: 'not_found' })
  await store.close()
})
