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

test('of a run of thousands of streams only those go out that have changed, and no client is cut off for its size', async () => {
  const setting = await openSetting()
  const { db } = setting.runtime.store
  const client = await follow(setting.server.url)
  await until(() => (client.of('hello').length > 0 ? true : undefined))
  const at = Date.now()
  const times = { started_at: at, updated_at: at, heartbeat_at: at }
  const about = {
    pipeline: 'lab-to-lake',
    source: 'lab',
    sink: 'lake.tables',
    trigger: 'manual',
    kind: 'sync',
  } as const
  await db
    .insertInto('runs')
    .values({
      ...about,
      ...times,
      id: 'large',
      full: 0,
      holder: 'elsewhere/1/1/large',
      status: 'running',
      warnings: '[]',
    })
    .execute()
  const streams = Array.from({ length: 5000 }, (_, position) => ({
    ...{ run_id: 'large', stream: `stream ${position}`, table_name: `stream_${position}`, position },
    ...{ status: 'waiting' as const, mode: 'incremental' as const, disposition: 'merge' as const, drift: '[]' },
    ...{ read: 0, written: 0, quarantined: 0, deduplicated: 0, deleted: 0, requests: 0, bytes: 0, updated_at: at },
  }))
  await db.transaction().execute(async (transaction) => {
    for (let from = 0; from < streams.length; from += 500)
      await transaction
        .insertInto('run_streams')
        .values(streams.slice(from, from + 500))
        .execute()
  })
  interface Large {
    id: string
    streams: { stream: string; read: number }[]
  }
  const whole = await until(() => client.of<Large>('run').find((run) => run.streams.length === 5000))
  expect(JSON.stringify(whole).length).toBeGreaterThan(1 << 20)
  const told = client.of<Large>('run').length
  await db
    .updateTable('run_streams')
    .set({ read: 7, status: 'running' })
    .where('run_id', '=', 'large')
    .where('stream', '=', 'stream 5')
    .execute()
  await db.updateTable('runs').set({ updated_at: Date.now() }).where('id', '=', 'large').execute()
  const progress = await until(() => client.of<Large>('run-progress')[0])
  expect(progress).toMatchObject({
    id: 'large',
    totals: { streams: 5000, read: 7 },
    streams: [{ stream: 'stream 5', read: 7, status: 'running' }],
  })
  // A list of runs does not hold each of their streams.
  const listed = await setting.get('/api/runs')
  expect((listed.body as { runs: unknown[] }).runs).toMatchObject([{ id: 'large', totals: { streams: 5000, read: 7 } }])
  expect(listed.text.length).toBeLessThan(1000)
  expect(progress.streams.length).toBe(1)
  await db.updateTable('runs').set({ status: 'failed', updated_at: Date.now() }).where('id', '=', 'large').execute()
  const ended = await until(() =>
    client.of<Large & { status: string }>('run').find(({ status }) => status === 'failed'),
  )
  expect(ended.streams[5]).toMatchObject({ read: 7 })
  expect(client.of('run').length).toBe(told + 1)
  expect(client.ended()).toBe(false)
  await client.close()
  await setting.close()
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
