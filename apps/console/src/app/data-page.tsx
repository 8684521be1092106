import { useEffect, useState } from 'preact/hooks'
import { api, type Row, type StreamInfo } from './api.ts'
import { Arrivals } from './arrivals.tsx'
import { act, useConsole } from './state.ts'
import { Table, type Column } from './table.tsx'

const columnsOf = (rows: readonly Row[]): readonly Column<Row>[] =>
  [...new Set(rows.flatMap((row) => Object.keys(row)))].map((name) => ({
    name,
    number: rows.every((row) => typeof row[name] === 'number' || row[name] === null),
    value: (row) => row[name],
  }))

const Records = ({ partner, stream }: { readonly partner: string; readonly stream: string }) => {
  const [found, setFound] = useState<{ records: readonly Row[]; truncated: boolean }>()
  useEffect(() => {
    setFound(undefined)
    act(async () => setFound(await api.records(partner, stream, 200)))
  }, [partner, stream])
  if (found === undefined) return <p role="status">Reading {stream} …</p>
  const numbered = new Map(found.records.map((row, index) => [row, String(index)]))
  return (
    <section aria-labelledby="records">
      <h2 id="records">
        {stream}{' '}
        <span class="faint">
          {found.truncated ? `the first ${found.records.length} records` : `${found.records.length} records`}
        </span>
      </h2>
      <Table
        label={`Records of ${stream}`}
        rows={found.records}
        columns={columnsOf(found.records)}
        identity={(row) => numbered.get(row) ?? ''}
      />
    </section>
  )
}

/** What stands at a partner: its streams, and the records of one. */
export const DataPage = ({
  partner,
  stream,
}: {
  readonly partner: string | undefined
  readonly stream: string | undefined
}) => {
  const { partners, pipelines } = useConsole()
  const chosen = partner ?? pipelines?.[0]?.sink.split('.')[0] ?? partners?.[0]?.name
  const [streams, setStreams] = useState<readonly StreamInfo[]>()
  useEffect(() => {
    setStreams(undefined)
    if (chosen !== undefined) act(async () => setStreams(await api.streams(chosen)))
  }, [chosen])
  if (partners === undefined || chosen === undefined)
    return (
      <p class="empty" role="status">
        Loading …
      </p>
    )
  return (
    <>
      <h1>Data</h1>
      <nav class="choices" aria-label="Partners">
        {partners.map((item) => (
          <a key={item.name} href={`#/data/${item.name}`} {...(item.name === chosen ? { 'aria-current': 'true' } : {})}>
            {item.name}
          </a>
        ))}
      </nav>
      <nav class="choices small" aria-label={`Streams of ${chosen}`}>
        {streams?.map((item) => (
          <a
            key={item.name}
            href={`#/data/${chosen}/${item.name}`}
            {...(item.name === stream ? { 'aria-current': 'true' } : {})}
          >
            {item.name}
          </a>
        ))}
        {streams?.length === 0 && <span class="faint">nothing here yet</span>}
      </nav>
      {stream === 'runs' && <Arrivals partner={chosen} />}
      {stream !== undefined && <Records partner={chosen} stream={stream} />}
    </>
  )
}
