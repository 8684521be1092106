import { expect, test } from 'vitest'
import { layerFaults } from '../check.ts'

const item = (name: string, place: string, ...needs: string[]) => ({ name, place, folder: `packages/${place}`, needs })

test('a need that points downward is fine', () => {
  expect(
    layerFaults([item('@ecokit/http', 'core/http', '@ecokit/contracts'), item('@ecokit/contracts', 'core/contracts')]),
  ).toEqual([])
})

test('a need that points upward, sideways or out of the house is named', () => {
  const upward = layerFaults([
    item('@ecokit/contracts', 'core/contracts', '@ecokit/http'),
    item('@ecokit/http', 'core/http'),
  ])
  expect(upward).toEqual([
    '@ecokit/contracts (core/contracts) may not need @ecokit/http (core/http): it does not stand below it',
  ])
  expect(
    layerFaults([
      item('@ecokit/connector-a', 'connectors', '@ecokit/connector-b'),
      item('@ecokit/connector-b', 'connectors'),
    ]),
  ).toHaveLength(1)
  expect(layerFaults([item('@ecokit/odd', 'odd')])).toEqual(['@ecokit/odd: packages/odd is in no layer of the house'])
})

test('the testkit stands apart', () => {
  const kit = item('@ecokit/testkit', 'authoring/testkit', '@ecokit/flow')
  const flow = item('@ecokit/flow', 'core/flow')
  expect(layerFaults([kit, flow])).toHaveLength(1)
  expect(
    layerFaults([
      item('@ecokit/connector-a', 'connectors', '@ecokit/testkit'),
      item('@ecokit/testkit', 'authoring/testkit'),
    ]),
  ).toHaveLength(1)
  expect(
    layerFaults([
      item('@ecokit/template-a', 'templates', '@ecokit/testkit'),
      item('@ecokit/testkit', 'authoring/testkit'),
    ]),
  ).toEqual([])
})
