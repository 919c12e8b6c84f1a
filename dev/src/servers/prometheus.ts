import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Machine } from '../machine/machine.ts'
import { repositoryRoot } from '../machine/machine.ts'
import { SupervisedProcess } from '../machine/supervised-process.ts'
import { findOrInstall, type NotHere } from './server.ts'

/** Programs of Debian's package. */
export async function obtainPrometheus(
  machine: Machine,
  program: 'prometheus' | 'promtool' = 'prometheus',
): Promise<{ path: string } | NotHere> {
  const found = await findOrInstall(machine, program, ['prometheus'])
  return 'not' in found ? { not: `${program} is needed and was not found: ${found.not}` } : found
}

/** Starts a Prometheus on loopback that follows a stack and has our alert rules; it keeps its data. */
export async function startPrometheus(options: {
  machine: Machine
  dataDir: string
  port: number
  /** Addresses of `/metrics` by the name of the process. */
  targets: Record<string, string>
  scrapeSeconds?: number
}): Promise<{ url: string; close(): Promise<void>; killNow(): void }> {
  const { machine, dataDir, port } = options
  const found = await obtainPrometheus(machine)
  if ('not' in found) throw new Error(found.not)
  const folder = join(dataDir, 'prometheus')
  const file = join(folder, 'prometheus.yml')
  const url = `http://127.0.0.1:${port}`
  const process = new SupervisedProcess({
    name: 'prometheus',
    title: 'Prometheus',
    file: found.path,
    args: [
      ...[`--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'data')}`],
      ...[`--web.listen-address=127.0.0.1:${port}`, '--log.level=warn'],
    ],
    prepare: async () => {
      await mkdir(folder, { recursive: true })
      await writeFile(file, configuration(options))
    },
    ready: async () => {
      const { ok, status } = await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(2000) })
      if (!ok) throw new Error(`${url}/-/ready answers ${status}`)
    },
    readyDeadlineMs: 30_000,
    logFile: join(dataDir, 'logs', 'prometheus.log'),
    records: join(dataDir, 'run'),
    report: machine.report,
    supervise: true,
  })
  await process.start()
  return { url, close: () => process.stop(), killNow: () => process.killNow() }
}

/** JSON is YAML, too. */
function configuration({ targets, scrapeSeconds = 5 }: Parameters<typeof startPrometheus>[0]): string {
  const every = `${scrapeSeconds}s`
  return JSON.stringify({
    global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: every },
    rule_files: [join(repositoryRoot, 'deploy/monitoring/alerts.yaml')],
    scrape_configs: [
      {
        job_name: 'yingchuang-im',
        static_configs: Object.entries(targets).map(([instance, url]) => ({
          targets: [new URL(url).host],
          labels: { instance },
        })),
      },
    ],
  })
}
