import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { Terminal } from './output/terminal.ts'
import { exits } from './usage.ts'

/** The options that every command has. */
export interface CommonOptions {
  readonly file: string
  readonly json: boolean
}
/** What a command gets to work with. */
export interface Invocation {
  readonly terminal: Terminal
  readonly json: boolean
  /** The path that `--file` gave, or `ecosystem.yaml`. */
  readonly file: string
  /** The command's own version. */
  readonly version: string
}

const positive = (what: string) => (text: string) => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError(`${what} is a whole number, 0 or more`)
  return value
}
const port = (text: string) => {
  const value = positive('a port')(text)
  if (value > 65_535) throw new InvalidArgumentError('a port is at most 65535')
  return value
}

type Run = (invocation: Invocation, ...rest: never[]) => Promise<number>

/** The whole command line. Commands are loaded when they are run, so that `--help` needs nothing but commander. */
export const program = (terminal: Terminal, version: string, ended: (code: number) => void): Command => {
  const root = new Command('ecokit')
    .description('Connect an MLOps platform to its partners: check, read, call, sync and serve.')
    .version(version, '-V, --version')
    .exitOverride()
    .showHelpAfterError('Add --help to see what it takes.')
    .configureOutput({ writeOut: (text) => void terminal.out(text), writeErr: (text) => terminal.note(text) })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 something is unhealthy or failed, 2 the command line or ecosystem.yaml is wrong.\n\nStart with:\n  $ ecokit init\n  $ ecokit check\n  $ ecokit up',
    )

  const add = (usage: string, description: string, example: string) => {
    const command = root
      .command(usage)
      .description(description)
      .addOption(new Option('-f, --file <path>', 'the configuration').default('ecosystem.yaml'))
      .option('--json', 'print JSON', false)
      .addHelpText('after', `\nExample:\n  $ ${example}`)
    return command
  }
  /** Hands over to a command that is loaded now; the last two arguments of commander's action are the options and the command. */
  const run =
    (load: () => Promise<Run>) =>
    async (...given: unknown[]) => {
      const options = given.at(-2) as CommonOptions
      const command = await load()
      const invocation = { terminal, json: options.json, file: options.file, version }
      ended(await command(invocation, ...(given.slice(0, -1) as never[])))
    }

  add('init', 'write a sample ecosystem.yaml, and keep .ecokit out of git', 'ecokit init').action(
    run(async () => (await import('./commands/init.ts')).init),
  )
  add('up', 'check partners, run pipelines and serve the console until stopped', 'ecokit up --port 9000')
    .option('--port <number>', 'instead of server.port; 0 takes any free one', port)
    .option('--host <address>', 'instead of server.host')
    .action(run(async () => (await import('./commands/up.ts')).up))
  add('check', 'check partners now; exits 1 when one is not healthy', 'ecokit check mlflow')
    .argument('[partner...]', 'all when none are named')
    .action(run(async () => (await import('./commands/check.ts')).check))
  add('partners', 'list the partners with their last known health', 'ecokit partners --json').action(
    run(async () => (await import('./commands/partners.ts')).partners),
  )
  add('connectors', 'list the connectors, or show what one can do', 'ecokit connectors mlflow')
    .argument('[id]')
    .action(run(async () => (await import('./commands/connectors.ts')).connectors))
  add('read', 'read a stream of a partner', 'ecokit read mlflow runs --limit 10 --format csv')
    .argument('<partner>')
    .argument('<stream>')
    .option('--limit <rows>', 'stop after so many rows (a table: 100, else all)', positive('the limit'))
    .addOption(new Option('--format <format>', 'how to print it').choices(['table', 'ndjson', 'csv']).default('table'))
    .action(run(async () => (await import('./commands/read.ts')).read))
  add('call', 'call an operation of a partner', `ecokit call mlflow experiments.get '{"id":"0"}'`)
    .argument('<partner>')
    .argument('<operation>', 'capability.operation, as `ecokit connectors` lists them')
    .argument('[input]', 'JSON; - reads it from standard input', '{}')
    .option('--limit <items>', 'stop after so many answers', positive('the limit'))
    .option('-y, --yes', 'do not ask before something is changed or removed', false)
    .action(run(async () => (await import('./commands/call.ts')).call))
  add('sync', 'run a pipeline to its end', 'ecokit sync mlflow-to-lake --full')
    .argument('<pipeline>')
    .option('--full', 'read everything again and remove what is gone', false)
    .action(run(async () => (await import('./commands/sync.ts')).syncPipeline))
  add('runs', 'list the last runs', 'ecokit runs --limit 5')
    .option('--pipeline <name>', 'only of this pipeline')
    .option('--limit <runs>', 'how many', positive('the limit'), 20)
    .action(run(async () => (await import('./commands/runs.ts')).runs))
  add('run', 'show one run with its streams', 'ecokit run latest')
    .argument('<id>', 'an id, its beginning, or `latest`')
    .action(run(async () => (await import('./commands/runs.ts')).showRun))
  add('schema', 'print the JSON Schema of ecosystem.yaml, for editors', 'ecokit schema > ecosystem.schema.json').action(
    run(async () => (await import('./commands/schema.ts')).schema),
  )
  return root
}

/** Runs a command line and gives the exit code; nothing is thrown. */
export const main = async (argv: readonly string[], terminal: Terminal, version: string): Promise<number> => {
  let code: number = exits.done
  try {
    await program(terminal, version, (ended) => (code = ended)).parseAsync(argv, { from: 'user' })
    return code
  } catch (thrown) {
    // Commander has said already what was wrong, and shown help where that was asked for.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exits.done : exits.usage
    const { errorLine, exitOf } = await import('./explain.ts')
    terminal.note(errorLine(terminal, thrown))
    return exitOf(thrown)
  }
}
