import { expect, test } from 'vitest'
import { explain } from '../src/explain.ts'
import { historyPage, modelVersion, run, runsPage } from '../src/wire.ts'

test('int64 is read alike as number, bigint and string', () => {
  for (const step of [7, 7n, '7'])
    expect(historyPage.parse({ metrics: [{ key: 'a', value: 1, timestamp: step, step }] }).items).toEqual([
      { key: 'a', value: 1, timestamp: 7n, step: 7n },
    ])
  const extreme = historyPage.parse({
    metrics: [{ key: 'a', value: 1, timestamp: '9223372036854775807', step: -9223372036854775808n }],
  })
  expect(extreme.items[0]).toMatchObject({ timestamp: 9223372036854775807n, step: -9223372036854775808n })
})

test('values that JSON has no word for', () => {
  const values = ['NaN', 'Infinity', '-Infinity', 1.5, 100000000000000000000n]
  const { items } = historyPage.parse({ metrics: values.map((value) => ({ key: 'a', value, timestamp: 1, step: 0 })) })
  expect(items.map(({ value }) => value)).toEqual([NaN, Infinity, -Infinity, 1.5, 1e20])
})

test('what protobuf leaves out is filled in', () => {
  expect(runsPage.parse({})).toEqual({ items: [], next: undefined })
  expect(historyPage.parse({ metrics: [{ key: 'a', value: 2 }] }).items[0]).toMatchObject({ step: 0n, timestamp: 0n })
  const bare = run.parse({ info: { run_id: 'r', experiment_id: '1', status: 'RUNNING', start_time: '1700000000000' } })
  expect(bare).toMatchObject({
    id: 'r',
    startedAt: 1700000000000,
    lifecycle: 'active',
    metrics: [],
    params: {},
    tags: {},
  })
  expect(modelVersion.parse({ name: 'm', version: 3, run_id: '' })).toMatchObject({ version: '3', aliases: [] })
})

test('a run of an old server has its name in a tag', () => {
  const data = { tags: [{ key: 'mlflow.runName', value: 'old' }] }
  expect(run.parse({ info: { run_id: 'r', experiment_id: '1' }, data }).name).toBe('old')
})

test("the partner's own codes decide where its status does not say", () => {
  const say = (error_code: string, message = '') =>
    explain({ status: 400, headers: new Headers(), body: JSON.stringify({ error_code, message }) })
  expect(say('RESOURCE_ALREADY_EXISTS', 'Experiment(name=x) exists. Error: (sqlite3.Error) INSERT …')).toEqual({
    code: 'conflict',
    partnerCode: 'RESOURCE_ALREADY_EXISTS',
    reason: 'Experiment(name=x) exists.',
  })
  expect(say('INVALID_STATE')).toMatchObject({ code: 'conflict' })
  expect(say('INVALID_PARAMETER_VALUE', 'Registered model alias x not found.')).toMatchObject({ code: 'not_found' })
  expect(say('INVALID_PARAMETER_VALUE', 'bad filter')).toMatchObject({ code: undefined })
  expect(explain({ status: 502, headers: new Headers(), body: '<html>' })).toBeUndefined()
  expect(explain({ status: 500, headers: new Headers(), body: '[]' })).toBeUndefined()
})
