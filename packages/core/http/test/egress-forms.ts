// Ways to write addresses that a partner's URL must not lead to, and addresses and names that must not be mistaken for them.

/** A small generator of random numbers, the same for the same seed (mulberry32). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Write = (value: number) => string
const radices: readonly Write[] = [
  String,
  (value) => `0${value.toString(8)}`,
  (value) => `0x${value.toString(16)}`,
  (value) => `0X${value.toString(16).toUpperCase()}`,
  (value) => `0000${value.toString(8)}`,
  (value) => `0x0000${value.toString(16)}`,
]
const bytesOf = (address: string): number[] => address.split('.').map(Number)

/** The address in one to four parts, each in a radix of its own (inet_aton's forms, which URLs take too). */
export const numericForm = (address: string, parts: number, pick: () => number): string => {
  const bytes = bytesOf(address)
  const head = bytes.slice(0, parts - 1)
  const rest = bytes.slice(parts - 1).reduce((sum, byte) => sum * 256 + byte, 0)
  return [...head, rest].map((value) => (radices[Math.floor(pick() * radices.length)] ?? String)(value)).join('.')
}

const hex = (address: string): string => {
  const [a = 0, b = 0, c = 0, d = 0] = bytesOf(address)
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}
const widened = (text: string, zero: number): string =>
  text.replace(/\d/g, (digit) => String.fromCodePoint(zero + Number(digit)))

/** Every special way to write an IPv4 address as the host of a URL. */
export const forms4 = (address: string): string[] => {
  const ordered = [0, 1, 2].flatMap((radix) =>
    [1, 2, 3, 4].map((parts) => numericForm(address, parts, () => radix / radices.length)),
  )
  const dotted = hex(address)
  return [
    address,
    `${address}.`,
    ...ordered,
    `[::ffff:${address}]`,
    `[::ffff:${dotted}]`,
    `[0:0:0:0:0:ffff:${dotted}]`,
    `[0000:0000:0000:0000:0000:FFFF:${dotted}]`,
    `[::${address}]`,
    `[::ffff:0:${address}]`,
    `[64:ff9b::${address}]`,
    `[64:ff9b::${dotted}]`,
    `[64:ff9b:1::${dotted}]`,
    `[2002:${dotted}::1]`,
    `[2001:0:${dotted}::]`,
    widened(address, 0xff10),
    widened(address, 0x1d7ce),
    address.replaceAll('.', '。'),
    address.replaceAll('.', '．'),
    address.replace(/^./, (digit) => `%3${digit}`),
    address.replaceAll('.', '%2e'),
    `${address}\u00ad`,
    `\u200b${address}`,
  ]
}

/** Names and addresses of this machine that no form of an IPv4 address covers. */
export const forms6: readonly string[] = [
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[0000:0000:0000:0000:0000:0000:0000:0001]',
  '[::0001]',
  '[::0.0.0.1]',
  '[::]',
  '[0::0]',
  '[::1%25lo]',
  '[::1%lo]',
  '[fe80::1]',
  '[fe80::1%25lo]',
  '[fec0::1]',
  '[fd00:ec2::254]',
  '[fd20:ce::254]',
  '[fc00::1]',
  '[ff02::1]',
  '[2001:db8::1]',
  '[100::1]',
  '[5f00::1]',
]
export const localNames: readonly string[] = [
  'localhost',
  'LOCALHOST',
  'localhost.',
  'x.localhost',
  'loc%61lhost',
  'local\u00adhost',
  'ｌｏｃａｌｈｏｓｔ',
  'ⓛⓞⓒⓐⓛⓗⓞⓢⓣ',
  'ip6-localhost',
  'ip6-loopback',
]
export const metadataHosts: readonly string[] = [
  'metadata',
  'METADATA',
  'metadata.',
  'metadata.goog',
  'metadata.google.internal',
  'metadata.google.internal.',
  'Metadata.Google.Internal',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.azure.internal',
  'metadata.tencentyun.com',
  'metadata.packet.net',
  'metadata.platformequinix.com',
]
export const metadataAddresses: readonly string[] = [
  '169.254.169.254',
  '169.254.170.2',
  '169.254.0.23',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
]

/** What a lying resolver may answer: forms that a check of the text misses, and things that are no address. */
export const lies = (own: readonly string[]): string[][] => [
  ['127.0.0.1'],
  ['127.0.0.2'],
  ['127.255.255.254'],
  ['::1'],
  ['0.0.0.0'],
  ['::'],
  ['::ffff:127.0.0.1'],
  ['::ffff:7f00:1'],
  ['::FFFF:7F00:0001'],
  ['0:0:0:0:0:ffff:7f00:1'],
  ['::127.0.0.1'],
  ['64:ff9b::127.0.0.1'],
  ['64:ff9b:1::7f00:1'],
  ['2002:7f00:1::'],
  ['::ffff:0:127.0.0.1'],
  ['::1%lo'],
  ['fe80::1%lo'],
  ['127.1'],
  ['0x7f000001'],
  ['2130706433'],
  ['017700000001'],
  ['127.0.0.1 '],
  ['[::1]'],
  ['localhost'],
  [''],
  ['127.0.0.1', '::1'],
  ['garbage', '127.0.0.1'],
  ['169.254.169.254', '127.0.0.1'],
  [],
  ...own.map((address) => [address]),
  ...metadataAddresses.map((address) => [address]),
]

export const publicAddresses: readonly string[] = [
  ...['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '52.94.236.248', '100.63.255.255', '100.128.0.0'],
  ...['126.255.255.255', '128.0.0.0', '168.63.129.15', '168.63.129.17', '169.253.255.255', '169.255.0.0'],
  ...['172.15.255.255', '172.32.0.0', '191.255.255.255', '192.0.1.0', '192.0.3.0', '192.88.98.255', '192.88.100.0'],
  ...['192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '198.51.99.255', '198.51.101.0'],
  ...['203.0.112.255', '203.0.114.0', '223.255.255.255', '193.0.6.139', '104.18.32.7', '20.42.65.90'],
  ...['2606:4700:4700::1111', '2001:4860:4860::8888', '2a00:1450:4001:81b::200e', '2600:1f18::1', '2001:200::1'],
  ...['2001:db7:ffff::1', '2001:db9::1', '2003::1', '2400:cb00::1', '2a02:26f0::1', '2c0f:f248::1', '3ffe::1'],
  ...['3fff:1000::1', '2620:fe::fe', '::ffff:8.8.8.8', '::ffff:808:808', '64:ff9b::8.8.8.8', '64:ff9b::808:808'],
]
export const publicNames: readonly string[] = [
  ...[
    'adb-1234567890123456.7.azuredatabricks.net',
    'dbc-a1b2345c-d6e7.cloud.databricks.com',
    'accounts.cloud.databricks.com',
  ],
  ...[
    '1234567890123456.7.gcp.databricks.com',
    'myorg-account.snowflakecomputing.com',
    'xy12345.eu-central-1.snowflakecomputing.com',
  ],
  ...[
    'api.datadoghq.com',
    'api.datadoghq.eu',
    'api.us3.datadoghq.com',
    'api.ap1.datadoghq.com',
    'http-intake.logs.datadoghq.com',
  ],
  ...['api.newrelic.com', 'api.eu.newrelic.com', 'metric-api.newrelic.com', 'log-api.eu.newrelic.com'],
  ...[
    'sagemaker.us-east-1.amazonaws.com',
    'runtime.sagemaker.eu-west-1.amazonaws.com',
    's3.amazonaws.com',
    'sts.amazonaws.com',
  ],
  ...['bucket.s3.eu-central-1.amazonaws.com', 'bucket.s3.dualstack.us-east-1.amazonaws.com', 'api.aws'],
  ...['login.microsoftonline.com', 'management.azure.com', 'account.blob.core.windows.net', 'graph.microsoft.com'],
  ...[
    'oauth2.googleapis.com',
    'us-central1-aiplatform.googleapis.com',
    'storage.googleapis.com',
    'compute.googleapis.com',
  ],
  ...['mlflow.example.com', 'mlflow.ml', 'tracking.example.co.uk', 'EXAMPLE.com', 'example.com.', 'example.com:8443'],
  ...['127.0.0.1.example.com', 'localhost.example.com', 'metadata.example.com', 'metadata.google.internal.example.com'],
  ...['10.example.com', '0x7f.example.com', '1e100.net', '0x0.st', '2130706433.example.com', 'internal.example.com'],
  ...[
    'local.example.com',
    'corp.example.com',
    'home.example.org',
    'lan.example.net',
    'test.example.com',
    'my-localhost.com',
  ],
  ...[
    'localhost.localdomain.example',
    'notlocalhost.dev',
    'instance-data.example.com',
    'fe80.example.com',
    'fd00.example.com',
  ],
  ...['bücher.example', 'xn--bcher-kva.example', 'пример.example', '例え.jp', 'straße.de', 'a.b.c.d.e.f.example.com'],
]
