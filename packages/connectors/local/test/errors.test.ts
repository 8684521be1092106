import { expect, test } from 'vitest'
import { databaseError } from '../src/errors.ts'

const about = { partner: 'lake', what: 'cannot commit' }

test.for([
  ['FATAL Error: fsync failed!', 'EIO'],
  ['IO Error: Could not write file "x": Input/output error', 'EIO'],
  ['IO Error: Could not write file "x": No space left on device', 'ENOSPC'],
  ['IO Error: Cannot open file "x": Too many open files', 'EMFILE'],
])('%s is a disk that fails, which is told and may be tried again', ([message, cause]) => {
  expect(databaseError(new Error(message), about)).toMatchObject({
    code: 'unavailable',
    retryable: true,
    details: { cause },
  })
})
