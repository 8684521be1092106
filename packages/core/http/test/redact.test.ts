import fc from 'fast-check'
import { expect, test } from 'vitest'
import { redactor, tidy } from '../src/redact.ts'

const secret = fc.string({ unit: 'grapheme', minLength: 4, maxLength: 40 })
const around = fc.string({ unit: 'grapheme', maxLength: 10 })

test('a secret does not show in any of the forms in which a server may echo it', () => {
  fc.assert(
    fc.property(secret, around, around, (word, before, after) => {
      const redact = redactor([word])
      const hex = Buffer.from(word).toString('hex')
      for (const form of [word, encodeURIComponent(word), JSON.stringify(word).slice(1, -1), hex])
        expect(redact(`<<${form}>>`)).not.toContain(form)
      // As in Basic credentials: the secret somewhere inside of a longer text.
      for (const encoding of ['base64', 'base64url'] as const) {
        const shown = redact(Buffer.from(before + word + after).toString(encoding))
        expect(Buffer.from(shown.split('***')[0] ?? '', encoding).toString()).not.toContain(word)
        expect(shown).toContain('***')
      }
    }),
    { numRuns: 1000 },
  )
})
test('however a URL or JSON within JSON writes its signs, a secret does not show', () => {
  const word = `a1"b2\\c3'd4(e5)!f6 g7%h8~i9`
  const url = new URL('http://here/')
  url.search = `?key=${encodeURIComponent(word)}`
  const json = (text: string) => JSON.stringify(text).slice(1, -1)
  const forms = [
    url.search,
    new URLSearchParams({ key: word }).toString(),
    encodeURIComponent(encodeURIComponent(word)),
    json(json(word)),
    json(json(json(word))),
    encodeURIComponent(json(word)),
  ]
  for (const form of forms)
    expect([form, redactor([word])(`<${form}>`)]).toEqual([form, expect.stringContaining('***')])
})
test('a secret of backslashes and a text of many of them are soon done', () => {
  const redact = redactor([`${'\\'.repeat(40)}"${'\\'.repeat(40)}x`, `${'%'.repeat(40)}y`])
  const many = '\\'.repeat(20_000)
  expect(redact(`${many}"${many}`)).toContain('"')
  expect(redact('%25'.repeat(20_000))).toContain('%25')
})
test('each line of a secret of several lines is hidden', () => {
  const key = `-----BEGIN KEY-----\n${'QUJD'.repeat(10)}\n${'REVG'.repeat(10)}\n-----END KEY-----\n`
  expect(redactor([key])(`first: ${'QUJD'.repeat(10)} second: ${'REVG'.repeat(10)}`)).toBe('first: *** second: ***')
})
test('the longer of two secrets is hidden as a whole', () => {
  expect(redactor(['token', 'token-and-more'])('a token-and-more b token c')).toBe('a *** b *** c')
})
test('without secrets, and with those of under 4 characters, a text stays as it is', () => {
  expect(redactor([])('abc')).toBe('abc')
  expect(redactor(['a', 'abc', ''])('abc')).toBe('abc')
})
test('a text becomes one line without control characters, cut after hiding', () => {
  const redact = redactor(['s3cr3t-t0ken'])
  expect(tidy('a\r\n\tb\u0000\u001b[31mc\u202ed\u0085', redact)).toBe('a b [31mc d')
  expect(tidy(`${'x'.repeat(295)}s3cr3t-t0ken`, redact)).toBe(`${'x'.repeat(295)}***`)
  expect(tidy('x'.repeat(400), redact)).toBe(`${'x'.repeat(300)}…`)
  expect(tidy('s3cr3t\u0000-t0ken', redact)).not.toContain('s3cr3t-t0ken')
})
