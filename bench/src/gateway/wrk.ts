import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export interface Load {
  perSecond: number
  /** Milliseconds. */
  p50: number
  p99: number
  failures: number
}

const scale: Record<string, number> = { us: 0.001, ms: 1, s: 1000 }

/** Runs wrk, a closed loop of `connections`, and reads its report. The script chooses the requests. */
export async function load(url: string, script: string, connections: number, seconds: number): Promise<Load> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', script, url]
  const { stdout } = await promisify(execFile)('wrk', args)
  const percentile = (share: number) => {
    const [, value, unit] = new RegExp(`^\\s+${share}%\\s+([\\d.]+)(us|ms|s)`, 'm').exec(stdout) ?? []
    return Number(value) * (scale[unit ?? ''] ?? Number.NaN)
  }
  const count = (form: RegExp) => Number(form.exec(stdout)?.[1] ?? 0)
  return {
    perSecond: count(/Requests\/sec:\s+([\d.]+)/),
    p50: percentile(50),
    p99: percentile(99),
    failures: count(/Non-2xx or 3xx responses: (\d+)/) + count(/Socket errors:.*timeout (\d+)/),
  }
}
