/** The parts of base64 that do not depend on what stands before and behind. */
export const cores = (secret: string): readonly string[] =>
  [0, 1, 2].flatMap((shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(secret)])
    const core = bytes.toString('base64').slice([0, 2, 3][shift], Math.floor((bytes.length * 8) / 6))
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')]
  })
/** Every form in which a secret is searched for. */
export const formsOf = (secret: string): readonly string[] => {
  const url = encodeURIComponent(secret)
  const form = new URLSearchParams([['', secret]]).toString().slice(1)
  const hex = Buffer.from(secret).toString('hex')
  return [
    ...new Set([
      secret,
      JSON.stringify(secret).slice(1, -1),
      JSON.stringify(JSON.stringify(secret)).slice(3, -3),
      url,
      url.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
      form,
      hex,
      hex.toUpperCase(),
      ...cores(secret),
    ]),
  ]
}
