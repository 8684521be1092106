import { expect, expectTypeOf, test } from 'vitest'
import fc from 'fast-check'
import { integrationError, isIntegrationError, toIntegrationError } from '../src/index.ts'
import type { ErrorClass, ErrorCode } from '../src/index.ts'

const classes: Readonly<Record<ErrorCode, ErrorClass>> = {
  invalid_config: 'config',
  invalid_credentials: 'config',
  invalid_input: 'config',
  host_not_allowed: 'config',
  unsupported: 'config',
  unauthenticated: 'config',
  reauthorization_required: 'config',
  forbidden: 'config',
  not_found: 'config',
  conflict: 'config',
  rejected: 'config',
  rate_limited: 'transient',
  overloaded: 'transient',
  circuit_open: 'transient',
  timeout: 'transient',
  unavailable: 'transient',
  too_large: 'system',
  invalid_reply: 'system',
  invalid_data: 'system',
  cancelled: 'system',
  internal: 'system',
}

test('every code has its class, and only a transient error is worth a second try by itself', () => {
  for (const [code, expected] of Object.entries(classes)) {
    const error = integrationError(code as 'internal', { what: 'it failed', details: {} })
    expect([code, error.class, error.retryable]).toEqual([code, expected, expected === 'transient'])
  }
  expect(integrationError('rate_limited', { what: 'full for today', details: {}, retryable: false }).retryable).toBe(
    false,
  )
})

test('the message names the partner, what failed and what to do next', () => {
  const error = integrationError('unauthenticated', {
    partner: 'mlflow-prod',
    what: 'the token was refused',
    next: 'Renew MLFLOW_TOKEN',
    details: { status: 401 },
  })
  expect(error.message).toBe('mlflow-prod: the token was refused. Renew MLFLOW_TOKEN')
  expect(error).toBeInstanceOf(Error)
  expect([error.name, error.partner, error.details.status]).toEqual(['IntegrationError', 'mlflow-prod', 401])
  expect(integrationError('internal', { what: 'broken', details: {} }).message).toBe('broken')
})

test('the brand is enough: an error of another copy of the package is recognised, anything else is not', () => {
  const foreign: unknown = JSON.parse('{"ecokit":1,"code":"timeout","details":{"timeoutMs":5}}')
  expect(isIntegrationError(foreign)).toBe(true)
  expect(isIntegrationError(foreign, 'timeout')).toBe(true)
  expect(isIntegrationError(foreign, 'internal')).toBe(false)
  if (isIntegrationError(foreign, 'timeout')) expectTypeOf(foreign.details.timeoutMs).toEqualTypeOf<number>()
  fc.assert(
    fc.property(fc.anything(), (value) => {
      fc.pre(!(typeof value === 'object' && value !== null && 'ecokit' in value))
      expect(isIntegrationError(value)).toBe(false)
    }),
  )
})

test('whatever is thrown becomes an IntegrationError that names the partner', () => {
  const own = integrationError('conflict', { what: 'held', details: {} })
  expect(toIntegrationError(own, 'p')).toBe(own)
  expect(toIntegrationError(new DOMException('stop', 'AbortError'), 'p')).toMatchObject({
    code: 'cancelled',
    message: 'p: cancelled',
  })
  expect(toIntegrationError(new TypeError('x is not a function'), 'p')).toMatchObject({
    code: 'internal',
    message: 'p: x is not a function',
  })
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true }), (value) => {
      const error = toIntegrationError(value, 'p')
      expect(isIntegrationError(error)).toBe(true)
      expect(error.code).toBe('internal')
    }),
  )
})
