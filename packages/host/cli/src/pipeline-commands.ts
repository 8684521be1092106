import { Option } from 'commander'
import type { Command } from 'commander'
import { atLeastOne, positive, several } from './arguments.ts'
import type { Add, Load } from './program.ts'

/** What moves data, and what is known about what was moved. */
export const addPipelineCommands = (add: Add, run: Load): void => {
  const ofStreams = (command: Command) =>
    command.option('-s, --stream <stream>', 'only this stream; may be given more than once', several)
  const ofFindings = (command: Command, limit: number) =>
    command
      .argument('[pipeline]', 'all when none is named')
      .option('-s, --stream <stream>', 'only of this stream')
      .option('--run <id>', 'only of this run: an id, its beginning, or `latest`')
      .option('--limit <number>', 'how many', atLeastOne('the limit'), limit)

  add(
    'discover',
    'show what can be read from a partner: its streams, or the fields of one',
    'ecokit discover mlflow runs',
  )
    .argument('<partner>')
    .argument('[stream]')
    .action(run(async () => (await import('./commands/discover.ts')).discover))
  ofStreams(add('sync', 'run a pipeline to its end, or all of them', 'ecokit sync mlflow-to-lake --stream runs'))
    .argument('[pipeline]', 'all, one after the other, when none is named')
    .option('--full', 'read everything again and remove what is gone', false)
    .action(run(async () => (await import('./commands/sync.ts')).syncPipeline))
  ofStreams(
    add(
      'backfill',
      'read a window of a pipeline again; where the next sync goes on stays as it is',
      'ecokit backfill mlflow-to-lake --since 2026-01-01 --until 2026-02-01',
    ),
  )
    .argument('<pipeline>')
    .option('--since <cursor>', 'the first value of the cursor that is read')
    .option('--until <cursor>', 'the first value of the cursor that is not')
    .action(run(async () => (await import('./commands/sync.ts')).backfill))
  add('runs', 'list the last runs', 'ecokit runs mlflow-to-lake --limit 5')
    .argument('[pipeline]', 'all when none is named')
    .option('--limit <runs>', 'how many', positive('the limit'), 20)
    .action(run(async () => (await import('./commands/runs.ts')).runs))
  add('run', 'show one run: streams, drift, quality and datasets', 'ecokit run latest')
    .argument('<id>', 'an id, its beginning, or `latest`')
    .action(run(async () => (await import('./commands/runs.ts')).showRun))
  ofFindings(
    add('quarantine', 'list the records that were left out, with the reason', 'ecokit quarantine --run latest'),
    50,
  ).action(run(async () => (await import('./commands/findings.ts')).quarantine))
  ofFindings(add('quality', 'list what the quality rules said', 'ecokit quality mlflow-to-lake --failed'), 50)
    .option('--failed', 'only rules that were broken', false)
    .action(run(async () => (await import('./commands/findings.ts')).quality))
  add(
    'lineage',
    'list the datasets, or show where one of them, or a column of it, comes from and goes to',
    'ecokit lineage runs.run_id --upstream',
  )
    .argument('[dataset]', 'its name, or dataset.column')
    .addOption(new Option('--upstream', 'only where it comes from').default(false))
    .addOption(new Option('--downstream', 'only where it goes to').default(false))
    .option('--depth <steps>', 'how many steps at most', atLeastOne('the depth'), 10)
    .action(run(async () => (await import('./commands/lineage.ts')).lineage))
  const contract = add(
    'contract',
    'list what was agreed for each stream; exits 1 when one waits because its schema has changed',
    'ecokit contract mlflow-to-lake',
  )
    .argument('[pipeline]', 'all when none is named')
    .action(run(async () => (await import('./commands/contract.ts')).contract))
  add('accept', 'let streams go on that wait', 'ecokit contract accept mlflow-to-lake runs', contract)
    .argument('<pipeline>')
    .argument('[stream]', 'all when none is named')
    .action(run(async () => (await import('./commands/contract.ts')).accept))
  add(
    'schedule',
    'list the pipelines that run by themselves: when next, when last, what was missed',
    'ecokit schedule',
  ).action(run(async () => (await import('./commands/schedule.ts')).schedule))
}
