import type { AnyConnector } from '@ecokit/contracts'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { Terminal } from './output/terminal.ts'
import { atLeastOne, positive } from './arguments.ts'
import { addPipelineCommands } from './pipeline-commands.ts'
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
  /** The command's words, `vault set`: why things were done, for the audit log. Never an argument. */
  readonly command: string
  readonly connectors: LoadConnectors
}
/** Gives the connectors that partners may name; called by the commands that need them. */
export type LoadConnectors = () => Promise<readonly AnyConnector[]>

const port = (text: string) => {
  const value = positive('a port')(text)
  if (value > 65_535) throw new InvalidArgumentError('a port is at most 65535')
  return value
}

/** What a command does; gives its exit code. */
export type Run = (invocation: Invocation, ...rest: never[]) => Promise<number>

/** Adds a command with what all of them have. */
export type Add = (usage: string, description: string, example: string, parent?: Command) => Command
/** Hands over to a command that is loaded when it is run. */
export type Load = (load: () => Promise<Run>) => (...given: unknown[]) => Promise<void>

/** The whole command line. Commands are loaded when they are run, so that `--help` needs nothing but commander. */
export const program = (
  terminal: Terminal,
  version: string,
  connectors: LoadConnectors,
  ended: (code: number) => void,
): Command => {
  const root = new Command('ecokit')
    .description('Connect an MLOps platform to its partners: check, read, call, sync and serve.')
    .version(version, '-V, --version')
    .exitOverride()
    .showHelpAfterError('Add --help to see what it takes.')
    .configureOutput({ writeOut: (text) => void terminal.out(text), writeErr: (text) => terminal.note(text) })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 something is unhealthy or failed, 2 the command line or ecosystem.yaml is wrong,\nor what it refers to is missing (a variable, a secret, the key of the vault).\n\nStart with:\n  $ ecokit init\n  $ ecokit check\n  $ ecokit up',
    )

  const add: Add = (usage, description, example, parent = root) => {
    const command = parent
      .command(usage)
      .description(description)
      .addOption(new Option('-f, --file <path>', 'the configuration').default('ecosystem.yaml'))
      .option('--json', 'print JSON', false)
      .addHelpText('after', `\nExample:\n  $ ${example}`)
    return command
  }
  /** Hands over to a command that is loaded now; the last two arguments of commander's action are the options and the command. */
  const run: Load =
    (load) =>
    async (...given) => {
      // Of a command that has commands itself: what both have is taken by the upper one.
      const options = (given.at(-1) as Command).optsWithGlobals<CommonOptions>()
      const words: string[] = []
      for (let at = given.at(-1) as Command | null; at !== null && at !== root; at = at.parent) words.unshift(at.name())
      const work = await load()
      const invocation = {
        terminal,
        json: options.json,
        file: options.file,
        version,
        command: words.join(' '),
        connectors,
      }
      ended(await work(invocation, ...(given.slice(0, -1) as never[])))
    }

  add(
    'init',
    'write a sample ecosystem.yaml and the key of the vault, and keep .ecokit out of git',
    'ecokit init',
  ).action(run(async () => (await import('./commands/init.ts')).init))
  add('up', 'check partners, run pipelines and serve the console until stopped', 'ecokit up --port 9000')
    .option('--port <number>', 'instead of server.port; 0 takes any free one', port)
    .option('--host <address>', 'instead of server.host')
    .action(run(async () => (await import('./commands/up.ts')).up))
  add(
    'check',
    'check partners now; exits 1 when one is not healthy, 2 when a credential is missing here',
    'ecokit check mlflow',
  )
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
  addPipelineCommands(add, run)
  add('login', 'log in to a partner as a person, in a browser', 'ecokit login crm')
    .argument('<partner>')
    .option('--no-browser', 'only print the address')
    .action(run(async () => (await import('./commands/login.ts')).login))

  const group = (name: string, description: string, example: string) =>
    root.command(name).description(description).addHelpText('after', `\nExample:\n  $ ${example}`)
  const auth = group('auth', 'what is known about the logins of partners', 'ecokit auth status')
  add(
    'status',
    'show when tokens expire and were renewed; exits 1 when a login is needed',
    'ecokit auth status crm',
    auth,
  )
    .argument('[partner]', 'all when none is named')
    .action(run(async () => (await import('./commands/auth.ts')).status))
  add('logout', 'forget the tokens of a partner', 'ecokit auth logout crm', auth)
    .argument('<partner>')
    .action(run(async () => (await import('./commands/auth.ts')).logout))

  const vault = group('vault', 'secrets at rest, for ${secret:name} in ecosystem.yaml', 'ecokit vault set crm-token')
  const ofPartner = (command: Command) =>
    command
      .argument('<name>', 'as in ${secret:name}')
      .option(
        '-p, --partner <partner>',
        "the partner's own secret, which wins over one for all and which no other reads",
      )
  ofPartner(
    add('set', 'keep a secret; its value is asked for, never an argument', 'ecokit vault set crm-token -p crm', vault),
  )
    // Commander's own words repeat the arguments, and here one of them may be the secret.
    .configureOutput({
      outputError: (words, write) => {
        write(
          words.startsWith('error: too many arguments')
            ? 'error: a secret is never an argument, where the history of the shell keeps it. Leave it out and it is asked for, or add --stdin; change it if it was real\n'
            : words,
        )
      },
    })
    .option('--stage', 'keep it beside the active version, for `ecokit vault activate`', false)
    .option('--stdin', 'read the value from standard input', false)
    .action(run(async () => (await import('./commands/vault.ts')).set))
  add('list', 'list the secrets with their versions, never a value', 'ecokit vault list', vault).action(
    run(async () => (await import('./commands/vault.ts')).list),
  )
  ofPartner(
    add('activate', 'use another version, to switch or to roll back', 'ecokit vault activate crm-token 2', vault),
  )
    .argument('<version>', 'as `ecokit vault list` shows it', atLeastOne('a version'))
    .action(run(async () => (await import('./commands/vault.ts')).activate))
  ofPartner(add('remove', 'remove a secret, or one version that is not active', 'ecokit vault remove crm-token', vault))
    .option('--version-number <number>', 'only this version', atLeastOne('a version'))
    .option('-y, --yes', 'do not ask', false)
    .action(run(async () => (await import('./commands/vault.ts')).remove))
  add(
    'rotate',
    'change the keys while everything goes on; run it again after an interruption',
    'ecokit vault rotate',
    vault,
  )
    .option('--key', 'only the key-encryption key', false)
    .option('--data-keys', 'only the data keys', false)
    .action(run(async () => (await import('./commands/vault-keys.ts')).rotate))
  add('destroy', 'destroy a key that nothing needs any more', 'ecokit vault destroy kek-1a2b3c4d5e6f7081', vault)
    .argument('<key>', 'as `ecokit vault rotate` and `ecokit vault status` show it')
    .option('-y, --yes', 'do not ask', false)
    .action(run(async () => (await import('./commands/vault-keys.ts')).destroy))
  add('status', 'show the keys, what they hold and where they come from', 'ecokit vault status', vault).action(
    run(async () => (await import('./commands/vault-keys.ts')).status),
  )
  add('export', 'write all secrets, sealed under a passphrase', 'ecokit vault export > secrets.ecokit', vault)
    .option('--passphrase-stdin', 'read the passphrase from standard input', false)
    .action(run(async () => (await import('./commands/vault-carry.ts')).exportVault))
  add('import', 'read what another vault exported', 'ecokit vault import secrets.ecokit', vault)
    .argument('<path>')
    .option('--overwrite', 'add newer versions to secrets that are there', false)
    .option('--passphrase-stdin', 'read the passphrase from standard input', false)
    .action(run(async () => (await import('./commands/vault-carry.ts')).importVault))

  const audit = group('audit', 'who did what: the append-only log', 'ecokit audit verify')
  add(
    'verify',
    'look for the first entry that was edited, removed, inserted, moved or cut off',
    'ecokit audit verify',
    audit,
  )
    .argument('[export]', 'an exported log instead of the one of this ecosystem')
    .action(run(async () => (await import('./commands/audit.ts')).verify))
  add('list', 'list entries, newest first', 'ecokit audit list --action vault.get', audit)
    .option('--limit <entries>', 'how many', atLeastOne('the limit'), 50)
    .option('--before <position>', 'only older ones than this position', positive('a position'))
    .option('--actor <actor>', 'such as a user of this machine, or api')
    .option('--action <action>', 'such as vault.get or partner.change')
    .option('--target <target>', 'such as partner/crm')
    .action(run(async () => (await import('./commands/audit.ts')).list))
  add('export', 'write the whole log, one entry in a line', 'ecokit audit export > audit.ndjson', audit).action(
    run(async () => (await import('./commands/audit.ts')).exportLog),
  )

  add('schema', 'print the JSON Schema of ecosystem.yaml, for editors', 'ecokit schema > ecosystem.schema.json').action(
    run(async () => (await import('./commands/schema.ts')).schema),
  )
  return root
}

const ownConnectors: LoadConnectors = async () => (await import('./connectors.ts')).loadConnectors()

/** Runs a command line and gives the exit code; nothing is thrown. With `connectors` it knows those instead of the ones that come with it. */
export const main = async (
  argv: readonly string[],
  terminal: Terminal,
  version: string,
  connectors: LoadConnectors = ownConnectors,
): Promise<number> => {
  let code: number = exits.done
  try {
    await program(terminal, version, connectors, (ended) => (code = ended)).parseAsync(argv, { from: 'user' })
    return code
  } catch (thrown) {
    // Commander has said already what was wrong, and shown help where that was asked for.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exits.done : exits.usage
    const { errorLine, exitOf } = await import('./explain.ts')
    terminal.note(errorLine(terminal, thrown))
    return exitOf(thrown)
  }
}
