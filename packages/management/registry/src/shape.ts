import { z } from 'zod'
import { NetworkSection } from './network.ts'
import { PolicySection } from './policy.ts'
import { duration } from './duration.ts'

export const tiers = ['enterprise', 'professional', 'community'] as const
/** The commercial tier of a partner; says nothing about how well its connector is supported. */
export type Tier = (typeof tiers)[number]

const badName =
  'not a good name; use lower case letters, digits, - and _, up to 64 characters, and begin with a letter or digit'
/** Names of partners, pipelines and credentials: they stand in URLs, file names and lineage. */
export const Name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, badName)

const date = () => z.iso.date('not a date; write year, month and day: 2026-01-31')

export const Contract = z
  .strictObject({
    start: date().optional().describe('First day of the contract.'),
    end: date().optional().describe('Last day of the contract.'),
  })
  .refine(({ start, end }) => start === undefined || end === undefined || start <= end, {
    path: ['end'],
    message: 'is before the start; swap the two',
  })

export const Check = z.strictObject({
  every: duration('1s').prefault('60s').describe('How often the partner is checked. Default 60s.'),
  timeout: duration('100ms', '10m').prefault('10s').describe('How long a check may take. Default 10s.'),
})

export const CredentialsEntry = z.looseObject({
  scheme: z.string().min(1).describe('Which of the ways to log in that the connector offers.'),
})

const notCollector = (input: unknown): string | undefined =>
  typeof input === 'string'
    ? 'not the URL of a collector; write it in full, such as http://marquez.example.com:5000'
    : undefined

const hostForm = /^(https?:\/\/)?((\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$/i
/** What people write under `credentials.<name>`. */
export const NamedCredentials = CredentialsEntry.extend({
  hosts: z
    .array(
      z
        .string()
        .regex(
          hostForm,
          'not a host; write mlflow.example.com, *.example.com, mlflow.example.com:8443 or http://127.0.0.1:5000 (without http:// it means https)',
        ),
    )
    .min(1)
    .max(100)
    .optional()
    .describe(
      'Where a partner that the API registers may send these credentials. Default: only where the partners of this file send them.',
    ),
})

/** What people write under `partners.<name>`; config and credentials are judged by the connector. */
export const Partner = z.strictObject({
  connector: z.string().min(1).describe('The id of an installed connector.'),
  config: z.record(z.string(), z.unknown()).nullish().describe("The connector's own settings; never a secret."),
  credentials: z
    .union([z.string(), CredentialsEntry])
    .optional()
    .describe('The name of an entry in `credentials`, or the entry itself. May be left out where none is needed.'),
  tier: z.enum(tiers).default('community').describe('The commercial tier.'),
  owner: z.string().min(1).max(200).optional().describe('Whom to ask about this partner: a team or a mail address.'),
  tags: z.array(z.string().min(1).max(64)).max(50).nullish().describe('Words to find it by.'),
  contract: Contract.optional().describe('When the contract with this partner begins and ends.'),
  check: Check.prefault({}).describe('How its health is watched.'),
  policy: PolicySection.optional().describe(
    'How calls to it are paced and protected. Default: what its connector says.',
  ),
  network: NetworkSection.optional().describe('How its connections use the network.'),
})

export const Server = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('The address that the server listens on.'),
  port: z.int().min(0).max(65535).default(8000).describe('The port that it listens on; 0 takes a free one.'),
})
export const Lineage = z.strictObject({
  file: z
    .string()
    .min(1)
    .default('.ecokit/lineage.ndjson')
    .describe('Where OpenLineage events are written, one in a line.'),
  namespace: z.string().min(1).default('default').describe("The namespace of the pipelines' names in lineage."),
  url: z
    .url({ protocol: /^https?$/, error: (issue) => notCollector(issue.input) })
    .refine((text) => !/[?#@]/.test(text), 'expected scheme, host and path alone; a key belongs into `credentials`')
    .optional()
    .describe(
      'A collector that events are sent to as well: http://marquez:5000. Without a path it is /api/v1/lineage.',
    ),
  credentials: z
    .union([z.string(), CredentialsEntry])
    .optional()
    .describe('What the collector is shown: the name of an entry in `credentials`, or { scheme: token, token: … }.'),
})

/** The sections of the file; those with named entries are judged entry by entry. */
export const File = z.strictObject({
  version: z.literal(1, {
    error: (issue) => (issue.input === undefined ? undefined : 'expected 1, the only version there is'),
  }),
  credentials: z
    .unknown()
    .optional()
    .describe(
      'Named references to secrets: `${secret:name}` (the vault), `${env:NAME}` or `${file:path}`, never a secret itself.',
    ),
  partners: z.unknown().optional().describe('The platforms, by name.'),
  pipelines: z.unknown().optional().describe('What is copied from where to where, by name.'),
  server: z.unknown().optional().describe('Where `ecokit up` listens.'),
  lineage: z.unknown().optional().describe('Where lineage is written.'),
})
