import { Buffer } from 'node:buffer'
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  X509Certificate,
  type KeyObject,
} from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT, type JWTPayload } from 'jose'

export const rsaKeys = (modulusLength = 2048) => generateKeyPairSync('rsa', { modulusLength })
export const pem = (key: KeyObject, passphrase?: string): string =>
  key
    .export({ type: 'pkcs8', format: 'pem', ...(passphrase !== undefined && { cipher: 'aes-256-cbc', passphrase }) })
    .toString()

/** What the servers know; a test changes it. */
export interface Issuers {
  readonly url: string
  /** Epoch milliseconds, for the servers and for those who call them. */
  now: number
  readonly google: { email: string; keyId: string; key: KeyObject; scopes: string[] }
  readonly entra: {
    readonly tenant: string
    readonly clientId: string
    secret: string
    /** Registered with the application. */
    certificates: string[]
    /** Of the cluster whose service accounts the application trusts. */
    cluster: { issuer: string; subject: string; key: KeyObject }
    /** How the tokens come out. */
    issuer: string
    lifetimeSeconds: number
  }
  /** `since`: tokens that were made before are refused. */
  readonly snowflake: { account: string; user: string; key: KeyObject; since: number; asked: number }
  /** For how many seconds a token says that it is good. */
  expiresIn: number
  /** Every form that was posted to a token endpoint. */
  readonly asked: { readonly path: string; readonly form: URLSearchParams }[]
  /** Makes all tokens given so far worthless. */
  revoke(): void
  close(): Promise<void>
}

class Refused extends Error {
  readonly status: number
  readonly error: string
  constructor(status: number, error: string, why: string) {
    super(why)
    this.status = status
    this.error = error
  }
}
const read = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** Token endpoints of Google and Microsoft Entra, a partner that takes their tokens at /api, and Snowflake's own check of its JWTs at /snowflake; each as strict as the platform's documentation says, on jose with real keys. */
export const startIssuers = async (): Promise<Issuers> => {
  const seen = new Set<string>()
  let given = new Map<string, number>()
  const own = rsaKeys()
  const once = (payload: JWTPayload): void => {
    if (payload.jti === undefined) throw new Error('jti is missing')
    const id = `${payload.iss ?? ''} ${payload.jti}`
    if (seen.has(id)) throw new Error('jti was used before')
    seen.add(id)
  }
  /** Signature, iss, aud, sub, times and single use. */
  const verified = async (
    jwt: string,
    key: KeyObject,
    expected: { alg: string; issuer: string; audience?: string; subject?: string; longest: number },
  ): Promise<JWTPayload> => {
    const { payload, protectedHeader } = await jwtVerify(jwt, key, {
      algorithms: [expected.alg],
      issuer: expected.issuer,
      typ: 'JWT',
      requiredClaims: ['iat', 'exp', 'jti'],
      currentDate: new Date(state.now),
      maxTokenAge: expected.longest,
      ...(expected.audience !== undefined && { audience: expected.audience }),
      ...(expected.subject !== undefined && { subject: expected.subject }),
    })
    if ((payload.exp ?? Infinity) - (payload.iat ?? 0) > expected.longest) throw new Error('exp is too far away')
    if (protectedHeader.alg !== expected.alg) throw new Error('alg')
    return payload
  }
  const give = (token: string) => {
    given.set(token, state.now + state.expiresIn * 1000)
    return { access_token: token, token_type: 'Bearer', expires_in: state.expiresIn }
  }

  const google = async (form: URLSearchParams) => {
    const { email, keyId, key, scopes } = state.google
    if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
      throw new Refused(400, 'unsupported_grant_type', 'Invalid grant_type')
    const jwt = form.get('assertion') ?? ''
    try {
      if (decodeProtectedHeader(jwt).kid !== keyId) throw new Error('kid is unknown')
      const expected = { alg: 'RS256', issuer: email, audience: `${state.url}/token`, longest: 3600 }
      const payload = await verified(jwt, key, expected)
      once(payload)
      if (!scopes.includes(String(payload['scope']))) throw new Refused(400, 'invalid_scope', 'Invalid OAuth scope')
    } catch (error) {
      if (error instanceof Refused) throw error
      throw new Refused(400, 'invalid_grant', `Invalid JWT Signature: ${(error as Error).message}`)
    }
    return give(`google-${randomUUID()}`)
  }

  const entraProof = async (form: URLSearchParams, path: string): Promise<void> => {
    const { clientId, secret, certificates, cluster } = state.entra
    if (form.get('client_id') !== clientId) throw new Error('AADSTS700016: unknown application')
    const jwt = form.get('client_assertion')
    if (jwt === null) {
      if (form.get('client_secret') !== secret)
        throw new Error(`AADSTS7000215: Invalid client secret provided: ${form.get('client_secret') ?? ''}`)
      return
    }
    if (form.get('client_assertion_type') !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      throw new Error('type')
    if (decodeJwt(jwt).iss === cluster.issuer) {
      const { issuer, subject, key } = cluster
      await verified(jwt, key, { alg: 'RS256', issuer, subject, audience: 'api://AzureADTokenExchange', longest: 3600 })
      return
    }
    const thumbprint = decodeProtectedHeader(jwt)['x5t#S256']
    const certificate = certificates
      .map((each) => new X509Certificate(each))
      .find(({ raw }) => createHash('sha256').update(raw).digest('base64url') === thumbprint)
    if (certificate === undefined) throw new Error('AADSTS700027: the certificate is not registered')
    const expected = { alg: 'PS256', issuer: clientId, subject: clientId, audience: state.url + path, longest: 600 }
    once(await verified(jwt, certificate.publicKey, expected))
  }
  const entra = async (form: URLSearchParams, path: string) => {
    if (form.get('grant_type') !== 'client_credentials') throw new Refused(400, 'unsupported_grant_type', 'AADSTS70003')
    try {
      await entraProof(form, path)
    } catch (error) {
      throw new Refused(401, 'invalid_client', (error as Error).message)
    }
    const scope = form.get('scope') ?? ''
    if (!scope.endsWith('/.default')) throw new Refused(400, 'invalid_scope', 'AADSTS1002012: The scope is not valid')
    const seconds = Math.floor(state.now / 1000)
    const { issuer, lifetimeSeconds, tenant, clientId } = state.entra
    const jwt = await new SignJWT({ tid: tenant, appid: clientId, oid: clientId, sub: clientId, ver: '1.0' })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(scope.slice(0, -'/.default'.length))
      .setIssuedAt(seconds - 60)
      .setNotBefore(seconds - 60)
      .setExpirationTime(seconds + lifetimeSeconds)
      .setJti(randomUUID())
      .sign(own.privateKey)
    return give(jwt)
  }

  /** As the SQL API guide says: who issued it, for whom, with the fingerprint of the key that is registered. */
  const snowflake = async (request: IncomingMessage): Promise<void> => {
    const { account, user, key, since } = state.snowflake
    state.snowflake.asked++
    if (request.headers['x-snowflake-authorization-token-type'] !== 'KEYPAIR_JWT') throw new Error('token type')
    const der = createPublicKey(key.export({ type: 'spki', format: 'pem' })).export({ type: 'spki', format: 'der' })
    const subject = `${account}.${user}`
    const issuer = `${subject}.SHA256:${createHash('sha256').update(der).digest('base64')}`
    const { iat = 0 } = await verified(bearer(request), key, { alg: 'RS256', issuer, subject, longest: 3600 })
    if (iat * 1000 < since) throw new Error('JWT token is invalid')
  }
  const bearer = (request: IncomingMessage): string => (request.headers.authorization ?? '').replace(/^Bearer /, '')

  const handle = async (request: IncomingMessage): Promise<readonly [number, unknown]> => {
    const { pathname } = new URL(request.url ?? '', 'http://x')
    try {
      if (request.method === 'POST') {
        const form = new URLSearchParams(await read(request))
        state.asked.push({ path: pathname, form })
        if (pathname === '/token') return [200, await google(form)]
        if (pathname === `/${state.entra.tenant}/oauth2/v2.0/token`) return [200, await entra(form, pathname)]
      }
      if (pathname === '/snowflake') {
        await snowflake(request)
        return [200, {}]
      }
      if (pathname === '/api') return [(given.get(bearer(request)) ?? 0) > state.now ? 200 : 401, {}]
      return [404, {}]
    } catch (error) {
      if (error instanceof Refused) return [error.status, { error: error.error, error_description: error.message }]
      return [401, { message: (error as Error).message }]
    }
  }
  const server = createServer((request, response) => {
    void handle(request).then(([status, body]) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const unset = rsaKeys().publicKey
  const tenant = 'contoso.onmicrosoft.com'
  const state: Issuers = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    now: Date.now(),
    google: { email: 'robot@project.iam.gserviceaccount.com', keyId: 'key-1', key: unset, scopes: [] },
    entra: {
      tenant,
      clientId: '11111111-2222-3333-4444-555555555555',
      secret: 'entra~Secret.0123456789_abcdefghij',
      certificates: [],
      cluster: { issuer: 'https://cluster.example', subject: 'system:serviceaccount:default:robot', key: unset },
      issuer: 'https://sts.windows.net/99999999-2222-3333-4444-555555555555/',
      lifetimeSeconds: 3600,
    },
    snowflake: { account: 'XY12345', user: 'ROBOT', key: unset, since: 0, asked: 0 },
    expiresIn: 3600,
    asked: [],
    revoke: () => {
      given = new Map()
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
  return state
}
