import { expect, test } from 'vitest'
import { until } from './ask.ts'
import { follow, openSetting, token } from './setting.ts'

interface Partner {
  name: string
  health: { status: string; code?: string; message?: string }
}
interface Run {
  id: string
  status: string
  trigger: string
  pipeline: string
}

test('a partner that stops turns unhealthy for a client of the events, and healthy when it is back', async () => {
  const setting = await openSetting({ checkEvery: '1s' })
  await until(async () => {
    const { partners } = (await setting.get('/api/partners')).body as { partners: Partner[] }
    return partners.every(({ health }) => (health as unknown) !== null) ? true : undefined
  })
  const client = await follow(setting.server.url)
  const statusOf = () =>
    client
      .of<Partner>('partner')
      .filter(({ name }) => name === 'lab')
      .at(-1)?.health
  await setting.partner.stop()
  const down = await until(() => (statusOf()?.status === 'unhealthy' ? statusOf() : undefined))
  expect(down).toMatchObject({ code: 'unavailable', message: expect.stringContaining('lab') as string })
  const seen = client.of<{ partner: string }>('check').length
  expect(seen).toBeGreaterThan(0)
  await setting.partner.start()
  await until(() => (statusOf()?.status === 'healthy' ? true : undefined))
  await client.close()
  await setting.close()
})

test('asking for the head of the events takes no place of a client', async () => {
  const setting = await openSetting()
  const headers = { authorization: `Bearer ${token}` }
  for (let index = 0; index < 70; index += 1) {
    const reply = await fetch(`${setting.server.url}/api/events`, { method: 'HEAD', headers })
    expect(reply.status).toBe(200)
  }
  const client = await follow(setting.server.url)
  await until(() => (client.of('hello').length > 0 ? true : undefined))
  await client.close()
  await setting.close()
})

test('a pipeline with an interval runs at start and again, never beside itself, and a failure ends nothing', async () => {
  const setting = await openSetting({ pipelines: '  lab-to-lake: { source: lab, sink: lake, every: 1s }' })
  const runs = async () => ((await setting.get('/api/runs')).body as { runs: Run[] }).runs
  await until(async () =>
    (await runs()).filter(({ status }) => status === 'completed').length >= 2 ? true : undefined,
  )
  await setting.partner.stop()
  const failed = await until(async () => (await runs()).find(({ status }) => status === 'failed'))
  expect(failed).toMatchObject({ trigger: 'schedule', pipeline: 'lab-to-lake' })
  await setting.partner.start()
  await until(async () => ((await runs())[0]?.status === 'completed' ? true : undefined))
  expect((await runs()).filter(({ status }) => status === 'running').length).toBeLessThanOrEqual(1)
  expect(setting.errors).toEqual([])
  await setting.close()
})

test('a pipeline with a schedule runs when its time comes, and that stands in the audit log', async () => {
  const setting = await openSetting({
    pipelines: "  lab-to-lake: { source: lab, sink: lake, schedule: { cron: '* * * * * *' } }",
  })
  const runs = async () => ((await setting.get('/api/runs')).body as { runs: Run[] }).runs
  const run = await until(async () => (await runs()).find(({ status }) => status === 'completed'))
  expect(run).toMatchObject({ trigger: 'schedule', pipeline: 'lab-to-lake' })
  const { schedules } = (await setting.get('/api/schedules')).body as { schedules: unknown[] }
  expect(schedules).toMatchObject([{ pipeline: 'lab-to-lake', schedule: { timezone: 'UTC', missed: 'catch_up' } }])
  const log = await setting.runtime.safe.audit()
  expect(await log.list({ action: 'pipeline.sync', limit: 1 })).toMatchObject([
    { actor: 'schedule', target: 'pipeline/lab-to-lake' },
  ])
  expect(setting.errors).toEqual([])
  await setting.close()
})

test('a scheduled pipeline that cannot begin says so once, and in the list of pipelines', async () => {
  const setting = await openSetting({
    pipelines: '  lab-to-lake: { source: lab, sink: lake, every: 1s }',
    env: { LAB_TOKEN: '' },
  })
  const error = await until(() => setting.errors[0])
  expect(error).toMatchObject({ code: 'invalid_credentials', message: expect.stringContaining('LAB_TOKEN') as string })
  const { pipelines } = (await setting.get('/api/pipelines')).body as { pipelines: { problem: unknown }[] }
  expect(pipelines[0]!.problem).toEqual({ code: 'invalid_credentials', message: error.message })
  const manual = await setting.send('POST', '/api/pipelines/lab-to-lake/runs', {})
  expect([manual.status, (manual.body as { error: { code: string } }).error.code]).toEqual([400, 'invalid_credentials'])
  await setting.close()
  expect(setting.errors.length).toBe(1)
})

test('closing cancels what runs, ends the events and leaves no handle behind', async () => {
  const before = process.getActiveResourcesInfo().length
  const setting = await openSetting()
  const client = await follow(setting.server.url)
  setting.partner.hold = true
  const { id } = (await setting.send('POST', '/api/pipelines/lab-to-lake/runs', {})).body as { id: string }
  await until(() => (setting.partner.seen.at(-1)?.what === 'GET /samples' ? true : undefined))
  await setting.server.close()
  await client.reading
  const run = await setting.runtime.store.db.selectFrom('runs').select('status').where('id', '=', id).executeTakeFirst()
  expect(run?.status).toBe('cancelled')
  await expect(fetch(`${setting.server.url}/healthz`)).rejects.toThrow()
  await setting.close()
  await until(() => (process.getActiveResourcesInfo().length <= before ? true : undefined))
})
