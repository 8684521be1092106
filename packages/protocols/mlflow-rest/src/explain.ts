import type { ErrorCode, HttpOptions } from '@ecokit/contracts'
import { failure } from './wire.ts'

/** MLflow's codes where they say more than the status: ERROR_CODE_TO_HTTP_STATUS in mlflow/exceptions.py sends RESOURCE_ALREADY_EXISTS as 400 and INVALID_STATE as 500. */
const codes: Readonly<Record<string, ErrorCode>> = {
  RESOURCE_DOES_NOT_EXIST: 'not_found',
  NOT_FOUND: 'not_found',
  RESOURCE_ALREADY_EXISTS: 'conflict',
  ALREADY_EXISTS: 'conflict',
  RESOURCE_CONFLICT: 'conflict',
  INVALID_STATE: 'conflict',
  PERMISSION_DENIED: 'forbidden',
  UNAUTHENTICATED: 'unauthenticated',
  CUSTOMER_UNAUTHORIZED: 'unauthenticated',
  REQUEST_LIMIT_EXCEEDED: 'rate_limited',
  RESOURCE_EXHAUSTED: 'rate_limited',
  TEMPORARILY_UNAVAILABLE: 'unavailable',
}

/** Reads MLflow's error body; undefined for one of another form, such as a proxy's page. */
export const explain: NonNullable<HttpOptions['explain']> = ({ body }) => {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return undefined
  }
  const parsed = failure.safeParse(value)
  if (!parsed.success) return undefined
  const { error_code: partnerCode, message } = parsed.data
  // The SQL store appends the database's own error, with the statement and its parameters.
  const reason = message?.replace(/ Error: \([\s\S]*$/, '').trim()
  // A missing alias is an INVALID_PARAMETER_VALUE (get_model_version_by_alias in mlflow/store/model_registry/sqlalchemy_store.py).
  const missingAlias = /^Registered model alias .* not found/.test(reason ?? '')
  return { partnerCode, reason, code: missingAlias ? 'not_found' : codes[partnerCode] }
}
