/** Where a value stands that may not stand in the file: a variable of the environment, a secret of the vault, or a file. */
export interface Reference {
  readonly kind: 'env' | 'secret' | 'file'
  /** The variable, the secret, or the path. */
  readonly name: string
}

const forms = {
  env: /^\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}$/,
  secret: /^\$\{secret:([a-z0-9][a-z0-9_-]{0,63})\}$/,
  file: /^\$\{file:([^{}\p{Cc}]+)\}$/u,
} as const

/** The same forms for JSON Schema, whose patterns know no flags. */
export const referencePattern =
  '^\\$\\{(env:[A-Za-z_][A-Za-z0-9_]*|secret:[a-z0-9][a-z0-9_-]{0,63}|file:[^{}\\r\\n]+)\\}$'

/** The reference that a text is, from its first character to its last; undefined for any other text. */
export const referenceIn = (text: string): Reference | undefined => {
  for (const kind of ['env', 'secret', 'file'] as const) {
    const name = forms[kind].exec(text)?.[1]
    if (name !== undefined) return { kind, name }
  }
  return undefined
}

/** True where somebody meant a reference, however badly it is written. */
export const meantAsReference = (text: string): boolean => /\$\{\s*(env|secret|file)\s*:|^\$\{.*\}$/i.test(text)

/** A name for the vault, made of who has the secret and the field that it stands in: `mlflow-client-secret`. */
export const secretNameFor = (owner: string, field: readonly (string | number)[]): string =>
  [owner, ...field]
    .join('-')
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-')
    .slice(0, 64)
