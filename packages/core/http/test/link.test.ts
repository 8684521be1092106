import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nextLink } from '../src/link.ts'

// The examples of RFC 8288, section 3.5, and of GitHub's and GitLab's documentation on paging, with variations.
test.for([
  ['<https://api.example.com/x?page=2>; rel="next"', 'https://api.example.com/x?page=2'],
  [
    '<https://api.example.com/x?page=2>; rel="prev", <https://api.example.com/x?page=4>; rel="next"',
    'https://api.example.com/x?page=4',
  ],
  [
    '</TheBook/chapter2>; rel="previous"; title*=UTF-8\'de\'letztes%20Kapitel, </TheBook/chapter4>; rel="next"; title*=UTF-8\'de\'n%c3%a4chstes%20Kapitel',
    '/TheBook/chapter4',
  ],
  ['<http://example.org/>; rel="start http://example.net/relation/other next"', 'http://example.org/'],
  ['<a>;rel=next', 'a'],
  ['<a>;REL=NEXT', 'a'],
  ['<a> ; title="a, b; rel=\\"next\\"" ; rel = "next"', 'a'],
  ['<a,b;c>; rel="next"', 'a,b;c'],
  ['<>; rel="next"', ''],
  [', ,<a>; rel=next,', 'a'],
  ['<a>; flag; rel=next', 'a'],
] as const)('%s', ([header, target]) => {
  expect(nextLink(header)).toBe(target)
})
test.for([
  '',
  '<a>',
  '<a>; rel="prev"',
  '<a>; rel="nextpage"',
  '<a>; rel="prev"; rel="next"',
  '<a>; anchor="/other"; rel="next"',
  '<a>; title="rel=next"',
  'a; rel="next"',
  '<a; rel="next"',
  '<a>; title="; rel="next',
])('no next page in: %s', (header) => {
  expect(nextLink(header)).toBeUndefined()
})
test('no text makes it fail or hang', () => {
  const unit = fc.constantFrom('<', '>', ';', ',', '"', '\\', '=', ' ', 'rel', 'next', 'anchor', 'a')
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 60 }), (header) => {
      expect(['string', 'undefined']).toContain(typeof nextLink(header))
    }),
    { numRuns: 5000 },
  )
})
