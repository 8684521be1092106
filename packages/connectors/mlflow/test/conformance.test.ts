import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { runPython, startMlflow, trainScript } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { mlopsRules } from '@ecokit/template-mlops/conformance'
import { formatReport, testConnector } from '@ecokit/testkit'
import { connect, mlflow } from '../src/index.ts'

const peer = await requirePeer('mlflow')

peer.describe('conformance', () => {
  test('keeps every rule for connectors and every rule for MLOps platforms', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-conformance-'))
    await using server = await startMlflow({ folder })
    await runPython(trainScript, ['--url', server.url, '--runs', '6'])
    const config = { trackingUri: server.url }
    await using tracking = connect(mlflow, { config, credentials: { scheme: 'none' } })
    const [run] = await Array.fromAsync(tracking.runs.search({ filter: "attributes.status = 'FINISHED'", limit: 1 }))
    const [version] = await Array.fromAsync(tracking.models.searchVersions({ limit: 1 }))
    const [file] = (await Array.fromAsync(tracking.artifacts.list({ runId: run!.id, recursive: true }))).filter(
      (one) => !one.directory,
    )
    const { id: deleted } = await tracking.runs.create({ experimentId: '0' })
    await tracking.runs.delete({ id: deleted })
    const { id: target } = await tracking.runs.create({ experimentId: '0' })
    const key = Object.keys(run!.metrics)[0]
    const { name } = version!

    const report = await testConnector(mlflow, {
      config,
      at: (url) => ({ trackingUri: url }),
      invalidConfigs: [
        { config: { trackingUri: 'nowhere' }, field: 'config.trackingUri' },
        { config: { ...config, lag: 'soon' }, field: 'config.lag' },
      ],
      rules: mlopsRules,
      readme: new URL('../README.md', import.meta.url),
      samples: {
        'experiments.search': {},
        'experiments.get': { id: '0' },
        'experiments.getByName': { name: 'Default' },
        'experiments.create': { name: 'proof' },
        'runs.search': {},
        'runs.get': { id: run!.id },
        'runs.create': { experimentId: '0' },
        'metrics.history': { runId: run!.id, key },
        'metrics.log': { runId: target, key: 'probe', value: 1 },
        'models.search': {},
        'models.get': { name },
        'models.create': { name: 'proof' },
        'models.searchVersions': {},
        'models.getVersion': { name, version: version!.version },
        'models.getVersionByAlias': { name, alias: 'champion' },
        'models.createVersion': { name, source: `runs:/${run!.id}/model`, runId: run!.id },
        'artifacts.list': { runId: run!.id },
        'artifacts.download': { runId: run!.id, path: file!.path },
        'artifacts.upload': { runId: target, path: 'probe.bin', body: new Uint8Array(10) },
      },
      deadlineMs: 60_000,
    })
    expect(
      report.ok
        ? []
        : formatReport(report)
            .split('\n')
            .filter((line) => line.startsWith('FAILED')),
    ).toEqual([])
    await rm(folder, { recursive: true, force: true })
  }, 600_000)
})
