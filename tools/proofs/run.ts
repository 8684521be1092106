// Long proofs: `pnpm prove kill [--count 1000] [--seed N]` runs a seeded test in full and writes what it saw to <name>.json, which is committed.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

interface Proof {
  /** What is shown when it passes. */
  readonly claim: string
  readonly file: string
  readonly variable: string
  readonly count: number
}
const proofs: Readonly<Record<string, Proof>> = {
  audit: {
    claim:
      'seeded edits of an audit log (bytes of any column, entries removed, inserted, exchanged, cut off, put back, the chain computed anew): each found at its position; a chain without signed heads misses some',
    file: 'packages/core/audit/test/edits.test.ts',
    variable: 'ECOKIT_AUDIT_EDITS',
    count: 10_000,
  },
  faults: {
    claim:
      '20 faults of HTTP and 8 of TCP (Toxiproxy) on every operation, every stream and the check of the MLflow connector before a real MLflow, so many seeds for each, and on syncs into DuckDB: right rows or a typed error that names the partner and a next step; no hang, no unhandled rejection, no open socket, no write sent twice; Retry-After obeyed; the lake as the partner after one more sync (connectors/local has no network)',
    file: 'tools/faults/test/fault-',
    variable: 'ECOKIT_FAULT_SEEDS',
    count: 5,
  },
  canaries: {
    claim:
      'secrets planted in every credential field of every auth scheme, under every HTTP fault and before a partner that says everything back: found in no output, log line, span, error, cause, health, event, path, recording, database file or lineage, in no encoding; a connector that leaks is caught',
    file: 'tools/faults/test/canaries.test.ts',
    variable: 'ECOKIT_CANARIES',
    count: 500,
  },
  vault: {
    claim:
      'tampered records of every kind and every pairwise exchange are refused; keys of a vault are rotated and destroyed while readers and writers go on in other processes and rotations are killed with SIGKILL at seeded moments: no failed read, no lost write, nothing left on an old key; a vault that binds nothing is caught',
    file: 'packages/core/vault/test/proof-',
    variable: 'ECOKIT_VAULT',
    count: 100_000,
  },
  segments: {
    claim:
      'generated schemas (every kind of column, nested, any names) and values written in every way that JSON has: proven lines through filled vectors, through the JSON reader of DuckDB, parsed lines and records give the same rows in DuckDB, Parquet, CSV and NDJSON, Parquet bit for bit',
    file: 'packages/connectors/local/test/proven.test.ts',
    variable: 'ECOKIT_SEGMENTS',
    count: 500,
  },
  postgres: {
    claim:
      'children killed with SIGKILL at seeded moments while they append, merge, overwrite and prune tables of a real PostgreSQL: rows and checkpoint agree after each, readers never see half of a pass; generated values of every kind come back as they were, as records, proven lines and lines with escapes',
    file: 'packages/connectors/postgres/test/',
    variable: 'ECOKIT_POSTGRES_ROUNDS',
    count: 100,
  },
  local: {
    claim:
      'children killed with SIGKILL at seeded moments while they commit to DuckDB, Parquet, CSV and NDJSON, overwrite and prune: rows and checkpoint agree after each, readers see the whole of one pass, nothing is left behind',
    file: 'packages/connectors/local/test/kill.test.ts',
    variable: 'ECOKIT_LOCAL_KILLS',
    count: 200,
  },
  egress: {
    claim:
      'hostile URLs, configs, redirects, next pages, paths, resolvers and proxies: no connection reaches a listener that it should not; public names and addresses are not blocked',
    file: 'packages/core/http/test/egress.test.ts',
    variable: 'ECOKIT_EGRESS',
    count: 10_000,
  },
  kill: {
    claim:
      'processes killed with SIGKILL at seeded moments and at points of each phase (opening, fetch, validation, write, commit, rename, between commit and note, checkpoint, lineage, close) of syncs into DuckDB, Parquet, NDJSON, PostgreSQL and an HTTP upsert endpoint, over everything and incremental: nothing lost, doubled or corrupt, every stored account adds up, at most one stored page is read again; rows and then the checkpoint is caught in every run',
    file: 'packages/core/flow/test/kill.test.ts',
    variable: 'ECOKIT_KILLS',
    count: 1000,
  },
  disk: {
    claim:
      'files of a lake (DuckDB with its log, Parquet, NDJSON, CSV, manifests, the state database with its log, lineage) cut (the largest file of each kind at each byte of its last 4 KiB), and a disk that fails at each write, sync, open, rename and truncation of a sync (ENOSPC, EIO, EMFILE; once, or from there on): right rows or a typed error, and right rows after the fault (a DuckDB file whose own block DuckDB has torn is told as damaged); a damaged part without its checksum is caught as silent',
    file: 'packages/core/flow/test/disk.test.ts',
    variable: 'ECOKIT_CUTS',
    count: 38_400,
  },
  bits: {
    claim:
      'any file of a lake (DuckDB with its log, Parquet, NDJSON, CSV, manifests, the state database with its log, lineage, what a pass that was cut off left) with one changed bit anywhere: right rows or a typed error',
    file: 'packages/core/flow/test/disk.test.ts',
    variable: 'ECOKIT_BITS',
    count: 9_600,
  },
  refresh: {
    claim:
      'single-use refresh tokens of oidc-provider: fifty callers in each of two processes cause one exchange for each expiry; a winner killed before the issuer saw it loses nothing, one killed with the answer on its way loses nothing where the issuer has a reuse window, and elsewhere its token is not sent again',
    file: 'packages/core/auth/test/refresh',
    variable: 'ECOKIT_REFRESHES',
    count: 100,
  },
  roads: {
    claim:
      'random schemas and pages of nasty values: declared streams that are read as bytes and those that become objects give the same rows, the same refusals in the same order and the same errors',
    file: 'packages/core/connect/test/rest-roads.test.ts',
    variable: 'ECOKIT_ROADS',
    count: 100_000,
  },
  sinks: {
    claim:
      'fuzzed records (schemas of every kind of column at random; values, keys, types, escapes and bytes damaged at random) that a real server gives in pages are brought by the engine as proven bytes and as objects into DuckDB, Parquet, CSV, NDJSON, PostgreSQL and an HTTP endpoint: the same records are put aside for the same reasons, every sink holds exactly the rows of the lossless road, every account adds up',
    file: 'packages/core/flow/test/sinks.test.ts',
    variable: 'ECOKIT_SINK_RECORDS',
    count: 1_000_000,
  },
  scan: {
    claim:
      'fuzzed records, damaged at random: WebAssembly, JavaScript and the lossless road give the same rows, the same refusals and the same errors, for pages and for lines; what fills columns is bit for bit what the exact parser reads, in both fillers; DuckDB holds the same rows by vectors, by its own JSON reader and by objects; and the corpus of malformed and borderline inputs has the expected verdicts',
    file: 'json-scan',
    variable: 'ECOKIT_FUZZ',
    count: 1_000_000,
  },
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { count: { type: 'string' }, seed: { type: 'string', default: '20261121' } },
})
const name = positionals[0] ?? ''
const proof = proofs[name]
if (proof === undefined) {
  console.error(`No such proof: ${name === '' ? '(none given)' : name}. There are: ${Object.keys(proofs).join(', ')}`)
  process.exit(2)
}
const root = resolve(import.meta.dirname, '..', '..')
const count = Number(values.count ?? proof.count)
const report = join(root, '.cache', `proof-${name}.json`)
// A test hands over what it counted by writing a JSON object into this file; see counts.ts.
const countsFile = join(root, '.cache', `proof-${name}-counts.json`)
rmSync(countsFile, { force: true })
const since = Date.now()
const child = spawn(
  'vitest',
  ['run', proof.file, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      // A proof without one of its peers would pass with less than it claims.
      ECOKIT_REQUIRE_PEERS: '1',
      [proof.variable]: String(count),
      ECOKIT_SEED: values.seed,
      ECOKIT_PROOF_COUNTS: countsFile,
    },
  },
)
const [code] = (await once(child, 'exit')) as [number | null]
const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8')) as {
  numPassedTests: number
  numFailedTests: number
}
rmSync(report)
const counts = existsSync(countsFile) ? (JSON.parse(readFileSync(countsFile, 'utf8')) as object) : undefined
rmSync(countsFile, { force: true })
const written = {
  claim: proof.claim,
  passed: code === 0,
  count,
  seed: Number(values.seed),
  tests: { passed: numPassedTests, failed: numFailedTests },
  ...(counts === undefined ? {} : { counts }),
  seconds: Math.round((Date.now() - since) / 1000),
  commit: execFileSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim(),
  date: new Date().toISOString(),
  machine: {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  },
}
writeFileSync(join(import.meta.dirname, `${name}.json`), `${JSON.stringify(written, undefined, 2)}\n`)
console.log(JSON.stringify(written, undefined, 2))
process.exitCode = code ?? 1
