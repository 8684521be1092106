import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isIntegrationError, type Reply, type Request } from '@ecokit/contracts'
import { memoryShared, openNetwork } from '@ecokit/http'
import { startMoto, type Moto } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { awsSigV4, explainAws } from '../src/index.ts'

const peer = await requirePeer('moto')

interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}
const region = 'eu-central-1'

peer.describe('moto, with IAM enforcement switched on', () => {
  let moto: Moto | undefined
  let url = ''
  let folder = ''
  let allowed: Keys
  let powerless: Keys
  let temporary: Keys

  /** A call with its status, or the error that came of it, as a connector of AWS would make it. */
  const call = async (
    service: string,
    keys: Keys,
    request: Request,
  ): Promise<{ reply?: Reply; text: string; error?: unknown }> => {
    const scheme = awsSigV4({ service, region: '{region}' })
    const config = { url, region }
    const network = openNetwork({
      partner: 'aws',
      hosts: ['{url}'],
      config,
      secrets: [keys.secretAccessKey],
      authorizer: (http) =>
        scheme.open(scheme.credentials.parse(keys), {
          partner: 'aws',
          config,
          http,
          tokens: memoryShared(),
          now: Date.now,
          sleep: () => expect.unreachable('nothing to wait for'),
          random: Math.random,
        }),
    })
    try {
      const reply = await network.http(url, { explain: explainAws }).request(request)
      return { reply, text: await new Response(reply.body).text() }
    } catch (error) {
      expect(String(error)).not.toContain(keys.secretAccessKey)
      return { error, text: '' }
    } finally {
      await network.close()
    }
  }
  /** A call of the query protocol, which STS and IAM speak. */
  const query = (service: string, keys: Keys, fields: Record<string, string>) =>
    call(service, keys, {
      method: 'POST',
      path: '',
      effect: 'read',
      body: Buffer.from(new URLSearchParams(fields).toString()),
      headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    })
  const codeOf = ({ error }: { error?: unknown }): string =>
    isIntegrationError(error) ? `${error.code} ${error.retryable}` : expect.unreachable(`not refused: ${String(error)}`)

  const tag = (xml: string, name: string): string =>
    new RegExp(`<${name}>([^<]+)<`).exec(xml)?.[1] ?? expect.unreachable(`no ${name} in: ${xml}`)
  const makeUser = async (name: string, actions: readonly string[]): Promise<Keys> => {
    const root = { accessKeyId: 'AKIASETUP', secretAccessKey: 'setup' }
    await query('iam', root, { Action: 'CreateUser', UserName: name, Version: '2010-05-08' })
    if (actions.length > 0) {
      const policy = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] }
      const fields = { UserName: name, PolicyName: 'p', PolicyDocument: JSON.stringify(policy), Version: '2010-05-08' }
      await query('iam', root, { Action: 'PutUserPolicy', ...fields })
    }
    const { text } = await query('iam', root, { Action: 'CreateAccessKey', UserName: name, Version: '2010-05-08' })
    return { accessKeyId: tag(text, 'AccessKeyId'), secretAccessKey: tag(text, 'SecretAccessKey') }
  }

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ecokit-moto-'))
    moto = await startMoto({ folder })
    url = moto.url
    allowed = await makeUser('allowed', ['s3:*', 'sts:*', 'sqs:*'])
    powerless = await makeUser('powerless', [])
    const role = await query('iam', allowed, {
      Action: 'CreateRole',
      RoleName: 'reader',
      AssumeRolePolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { AWS: '*' } }],
      }),
      Version: '2010-05-08',
    })
    const policy = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: ['s3:*'], Resource: '*' }] }
    await query('iam', allowed, {
      Action: 'PutRolePolicy',
      RoleName: 'reader',
      PolicyName: 'p',
      PolicyDocument: JSON.stringify(policy),
      Version: '2010-05-08',
    })
    await moto.enforceAuth()
    const assumed = await query('sts', allowed, {
      Action: 'AssumeRole',
      RoleArn: tag(role.text, 'Arn'),
      RoleSessionName: 'test',
      Version: '2011-06-15',
    })
    temporary = {
      accessKeyId: tag(assumed.text, 'AccessKeyId'),
      secretAccessKey: tag(assumed.text, 'SecretAccessKey'),
      sessionToken: tag(assumed.text, 'SessionToken'),
    }
  }, 120_000)
  afterAll(async () => {
    await moto?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const identity = { Action: 'GetCallerIdentity', Version: '2011-06-15' }
  test('a key that may is let in, over STS and S3', async () => {
    expect((await query('sts', allowed, identity)).text).toContain('user/allowed')
    const bucket = await call('s3', allowed, {
      method: 'PUT',
      path: 'things',
      body: Buffer.from(
        `<CreateBucketConfiguration><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`,
      ),
    })
    expect(bucket).toMatchObject({ reply: { status: 200 } })
    const key = 'things/a b+c/(d)!*\u2019ü//e:f@g=h&i'
      .split('/')
      .map((part) => encodeURIComponent(part))
      .join('/')
    expect(await call('s3', allowed, { method: 'PUT', path: key, body: Buffer.from('hello') })).toMatchObject({
      reply: { status: 200 },
    })
    expect((await call('s3', allowed, { method: 'GET', path: key })).text).toBe('hello')
    const listed = await call('s3', allowed, {
      method: 'GET',
      path: 'things',
      query: { 'list-type': '2', prefix: 'a b+c/' },
    })
    expect(listed.text).toContain('<KeyCount>1</KeyCount>')
  })
  test('whatever the key, the query and the body are, moto computes the same signature from what arrives', async () => {
    // No segment of a path may be a dot or two.
    const part = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
      .filter((text) => text !== '.' && text !== '..')
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { minLength: 1, maxLength: 3 }),
        part,
        fc.uint8Array(),
        async (parts, prefix, body) => {
          const key = `things/${parts.map((each) => encodeURIComponent(each)).join('/')}`
          expect(
            (await call('s3', allowed, { method: 'HEAD', path: key, query: { partNumber: '1', prefix } })).error,
          ).toMatchObject({ code: 'not_found' })
          const sent = await call('s3', allowed, {
            method: 'PUT',
            path: 'things/body',
            body,
            query: { whatever: prefix },
          })
          expect(sent.error).toBeUndefined()
        },
      ),
      { numRuns: 25 },
    )
  })
  test('a streamed body goes to S3 unsigned', async () => {
    const body = new Blob(['streamed']).stream()
    expect(
      await call('s3', allowed, { method: 'PUT', path: 'things/stream', body, headers: { 'content-length': '8' } }),
    ).toMatchObject({
      reply: { status: 200 },
    })
    expect((await call('s3', allowed, { method: 'GET', path: 'things/stream' })).text).toBe('streamed')
  })
  test('temporary credentials need their session token', async () => {
    expect(await call('s3', temporary, { method: 'GET', path: 'things/stream' })).toMatchObject({ text: 'streamed' })
    const { sessionToken: _, ...without } = temporary
    expect(codeOf(await call('s3', without, { method: 'GET', path: 'things/stream' }))).toBe('unauthenticated false')
  })
  test.for(['s3', 'sqs'] as const)(
    '%s: a wrong secret and an unknown key are `unauthenticated`, a missing permission is `forbidden`',
    async (service) => {
      const ask = (keys: Keys) =>
        service === 's3'
          ? call('s3', keys, { method: 'GET', path: 'things' })
          : query('sqs', keys, { Action: 'ListQueues', Version: '2012-11-05' })
      expect((await ask(allowed)).error).toBeUndefined()
      expect(codeOf(await ask({ ...allowed, secretAccessKey: 'wrong+secret/0123456789abcdefghijklmnopq' }))).toBe(
        'unauthenticated false',
      )
      expect(codeOf(await ask({ ...allowed, accessKeyId: 'AKIAUNKNOWN000000000' }))).toBe('unauthenticated false')
      expect(codeOf(await ask(powerless))).toBe('forbidden false')
    },
  )
})
