import { toJson } from '@ecokit/contracts'
import { connectorView } from '@ecokit/server/ecosystem'
import type { ConnectorView } from '@ecokit/server/ecosystem'
import { table } from '../output/table.ts'
import type { Terminal } from '../output/terminal.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

const fieldsOf = (schema: Readonly<Record<string, unknown>>) => {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Readonly<Record<string, unknown>>>>
  const required = (schema['required'] ?? []) as readonly string[]
  return Object.entries(properties).map(([name, field]) => ({
    name,
    type: typeof field['type'] === 'string' ? field['type'] : 'any',
    required: required.includes(name),
    secret: field['secret'] === true,
    description: typeof field['description'] === 'string' ? field['description'] : '',
  }))
}

const describe = (view: ConnectorView, terminal: Terminal): string => {
  const { paint } = terminal
  const section = (title: string, body: string) => (body === '' ? '' : `\n${paint('bold', title)}\n${body}`)
  const fields = (schema: Readonly<Record<string, unknown>>) =>
    fieldsOf(schema)
      .map(({ name, type, required, secret, description }) => {
        const about = [type, required ? 'required' : '', secret ? 'secret' : '']
          .filter((word) => word !== '')
          .join(', ')
        return `  ${name}: ${about}${description === '' ? '' : `  ${paint('dim', description)}`}\n`
      })
      .join('')
  const operations = view.capabilities.flatMap(({ key, operations }) => operations.map((one) => ({ key, ...one })))
  const indent = (text: string) => text.replaceAll(/^(?=.)/gm, '  ')
  return [
    `${paint('bold', view.id)}  ${view.title}\n${view.description === null ? '' : `${view.description}\n`}`,
    section('Config', fields(view.configSchema)),
    section(
      'Credentials',
      view.auth.map(({ name, kind, schema }) => `  scheme: ${name} (${kind})\n${indent(fields(schema))}`).join(''),
    ),
    section(
      'Operations',
      operations.length === 0
        ? ''
        : indent(
            table(
              [
                { title: 'OPERATION', cell: (one) => `${one.key}.${one.name}` },
                {
                  title: 'EFFECT',
                  cell: (one) => one.effect,
                  shade: (one) => (one.effect === 'read' ? undefined : 'yellow'),
                },
                { title: 'ANSWERS', cell: (one) => (one.many ? 'many' : 'one') },
                { title: 'WHAT IT DOES', cell: (one) => one.title },
              ],
              operations,
              { paint, columns: terminal.columns === undefined ? undefined : terminal.columns - 2 },
            ),
          ),
    ),
    section(
      'Streams',
      view.streams
        .map(
          ({ name, primaryKey, cursor }) =>
            `  ${name}${primaryKey === undefined ? '' : `  key ${primaryKey.join(', ')}`}${cursor === undefined ? '' : `  cursor ${cursor}`}\n`,
        )
        .join('') + (view.discovers ? '  and tables found at run time\n' : ''),
    ),
    section(
      'Sinks',
      view.sinks
        .map(({ name, dispositions, commit }) => `  ${name}  ${dispositions.join(', ')}  ${paint('dim', commit)}\n`)
        .join(''),
    ),
  ].join('')
}

/** Lists the connectors, or shows what one of them takes and can do. */
export const connectors = async (invocation: Invocation, id: string | undefined): Promise<number> => {
  const { terminal, json } = invocation
  const views = (await invocation.connectors()).map(connectorView)
  if (id === undefined) {
    const listing = () =>
      table(
        [
          { title: 'CONNECTOR', cell: (view: ConnectorView) => view.id },
          { title: 'TITLE', cell: (view) => view.title },
          {
            title: 'OPERATIONS',
            cell: (view) => view.capabilities.flatMap(({ operations }) => operations).length,
            right: true,
          },
          {
            title: 'STREAMS',
            cell: (view) => (view.discovers ? 'found at run time' : view.streams.length),
            right: true,
          },
          { title: 'SINKS', cell: (view) => view.sinks.map(({ name }) => name).join(', ') },
        ],
        views,
        terminal,
      )
    await terminal.out(json ? `${toJson(views, 2)}\n` : listing())
    return exits.done
  }
  const found = views.find((view) => view.id === id)
  if (found === undefined)
    throw new UsageError(`there is no connector ${id}. Choose from: ${views.map((view) => view.id).join(', ')}`)
  await terminal.out(json ? `${toJson(found, 2)}\n` : describe(found, terminal))
  return exits.done
}
