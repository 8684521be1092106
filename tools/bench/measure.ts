import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'

/** What one variant did in a process of its own. */
export interface Sample {
  /** Calls or rows. */
  readonly count: number
  readonly seconds: number
  /** User and system time of the process, server excluded. */
  readonly cpuSeconds: number
  /** The largest resident set, in MB, as the kernel counts it. */
  readonly peakMb: number
  /** The median time of one call where it was measured, in microseconds. */
  readonly p50Us?: number
}

/** Runs a variant's file in a fresh Node, so that imports, memory and CPU are its own; the last line that it prints is its sample. */
export const sample = async (file: string, args: readonly string[]): Promise<Sample> => {
  // What the one before left to be written is not paid for by this one.
  if (process.platform !== 'win32') execFileSync('sync')
  const child = spawn(process.execPath, [resolve(import.meta.dirname, file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  const [code] = (await once(child, 'close')) as [number | null]
  const last = text.trim().split('\n').at(-1) ?? ''
  if (code !== 0 || !last.startsWith('{')) throw new Error(`${file} ${args.join(' ')} failed: ${text}`)
  return JSON.parse(last) as Sample
}

/** Measures the work between its call and its end, and prints the sample for `sample` to read. */
export const report = async (work: () => Promise<{ count: number; p50Us?: number }>): Promise<void> => {
  const cpu = process.cpuUsage()
  const since = performance.now()
  const done = await work()
  const seconds = (performance.now() - since) / 1000
  const used = process.cpuUsage(cpu)
  console.log(
    JSON.stringify({
      ...done,
      seconds,
      cpuSeconds: (used.user + used.system) / 1e6,
      peakMb: process.resourceUsage().maxRSS / 1024,
    } satisfies Sample),
  )
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN

export interface Row {
  readonly variant: string
  readonly samples: readonly Sample[]
}
/** Every variant once in each round, one after the other, so that a machine that slows down slows all of them. */
export const interleave = async (
  rounds: number,
  variants: Readonly<Record<string, () => Promise<Sample>>>,
): Promise<readonly Row[]> => {
  const rows = Object.keys(variants).map((variant) => ({ variant, samples: [] as Sample[] }))
  for (let round = 1; round <= rounds; round++) {
    for (const row of rows) {
      process.stderr.write(`  round ${round} of ${rounds}: ${row.variant}\n`)
      const run = variants[row.variant]
      if (run !== undefined) row.samples.push(await run())
    }
  }
  return rows
}

export interface Summary {
  readonly variant: string
  readonly perSecond: number
  readonly cpuUsEach: number
  readonly peakMb: number
  readonly p50Us?: number
  /** Against the first variant of the same rounds, median of the rounds' own ratios. */
  readonly rateRatio: number
  readonly cpuRatio: number
  /** The same against another variant than the first, which runs right before this one. */
  readonly against?: { readonly variant: string; readonly rateRatio: number; readonly cpuRatio: number }
}
/** Medians, and ratios to the first row, round by round; `against` names other variants to compare one with. */
export const summarise = (rows: readonly Row[], against: Readonly<Record<string, string>> = {}): readonly Summary[] => {
  const rate = (one: Sample): number => one.count / one.seconds
  const cpu = (one: Sample): number => (one.cpuSeconds / one.count) * 1e6
  return rows.map(({ variant, samples }) => {
    const ratios = (other: Row | undefined) => {
      const ratio = (pick: (one: Sample) => number): number =>
        median(samples.map((one, round) => pick(one) / pick(other?.samples[round] ?? one)))
      return { rateRatio: ratio(rate), cpuRatio: ratio(cpu) }
    }
    const other = rows.find((one) => one.variant === against[variant])
    const p50 = samples.flatMap((one) => (one.p50Us === undefined ? [] : [one.p50Us]))
    return {
      variant,
      perSecond: median(samples.map(rate)),
      cpuUsEach: median(samples.map(cpu)),
      peakMb: median(samples.map((one) => one.peakMb)),
      ...(p50.length === 0 ? {} : { p50Us: median(p50) }),
      ...ratios(rows[0]),
      ...(other !== undefined && { against: { variant: other.variant, ...ratios(other) } }),
    }
  })
}

export const print = (title: string, unit: string, rows: readonly Summary[]): void => {
  console.log(`\n${title}`)
  console.log(
    `  ${'variant'.padEnd(34)}${`${unit}/s`.padStart(11)}${'x rate'.padStart(9)}${`CPU us/${unit.replace(/s$/, '')}`.padStart(13)}${'x CPU'.padStart(8)}${'p50 us'.padStart(9)}${'peak MB'.padStart(9)}`,
  )
  for (const row of rows) {
    console.log(
      `  ${row.variant.padEnd(34)}${Math.round(row.perSecond).toLocaleString('en').padStart(11)}${row.rateRatio.toFixed(2).padStart(9)}${row.cpuUsEach.toFixed(1).padStart(13)}${row.cpuRatio.toFixed(2).padStart(8)}${(row.p50Us?.toFixed(0) ?? '').padStart(9)}${row.peakMb.toFixed(0).padStart(9)}`,
    )
    if (row.against !== undefined) {
      const { variant, rateRatio, cpuRatio } = row.against
      console.log(`    against "${variant}": ${rateRatio.toFixed(2)} x rate, ${cpuRatio.toFixed(2)} x CPU`)
    }
  }
}
