import { expect, test } from 'vitest'
import { isEcosystemFile, validate } from '../src/validation.ts'
import { sampleEcosystem } from './host/workspace.ts'

test('the sample is right', () => {
  expect(validate(sampleEcosystem, 'ecosystem.yaml')).toEqual([])
})

test('a mistake is found at its line and column, counted from 0, in the words of the command line', () => {
  const found = validate(sampleEcosystem.replace('tier: enterprise', 'tier: enterprize'), '/home/me/ecosystem.yaml')
  expect(found).toEqual([
    {
      message: expect.stringMatching(/^partners\.mlflow-prod\.tier: .*enterprise/) as string,
      startLine: 12,
      startColumn: 10,
      endLine: 12,
      endColumn: 20,
    },
  ])
})

test('a text that is no YAML is one finding, with no field before its message', () => {
  expect(validate('partners: [', 'ecosystem.yml')[0]?.message).toMatch(/^not valid YAML: /)
})

test('JSON is judged by the same rules', () => {
  const text = '{ "version": 1,\n  "partners": { "lake": { "connector": "local", "config": { "database": 5 } } } }'
  expect(validate(text, 'ecosystem.json')).toMatchObject([
    { message: expect.stringMatching(/^partners\.lake\.config\.database: /) as string, startLine: 1 },
  ])
})

test('only files of these names are looked at', () => {
  for (const file of ['ecosystem.yaml', '/a/ecosystem.yml', '/a/b/ecosystem.json'])
    expect(isEcosystemFile(file)).toBe(true)
  for (const file of ['my-ecosystem.yaml', 'ecosystem.yaml.bak', '/ecosystem.yaml/x', 'ecosystem.jsonc'])
    expect(isEcosystemFile(file)).toBe(false)
})
