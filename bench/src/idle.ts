/** Resident memory of the idle stack, services in one process beside the launcher; see ../README.md. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startStack } from '@im/dev'
import { machine } from './machine.ts'
import { cpuSeconds, residentMegabytes } from './process-usage.ts'

const target = 600
/** What dev/bootstrap.mjs gives the launcher. */
const lightFlags = ['--optimize-for-size', '--max-semi-space-size=1']
const { values } = parseArgs({
  options: {
    settle: { type: 'string', default: '10' },
    json: { type: 'string' },
    stack: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

/** The stack lives in a process of its own, so that nothing of this tool is counted. */
async function runStack(dataDir: string): Promise<void> {
  const env = { ...process.env, LOG_LEVEL: 'warn' }
  const stack = await startStack({ dataDir, ports: 'free', env, supervise: false, isFrugal: true })
  const servers = Object.fromEntries(stack.servers.started.map((name) => [name, stack.process(name).pid!]))
  process.once('disconnect', () => void stack.close().finally(() => process.exit(0)))
  process.send!({
    processes: { launcher: process.pid, services: stack.process('gateway').pid!, ...servers },
    choices: stack.servers.choices,
  })
}

interface Ready {
  processes: Record<string, number>
  choices: Record<string, string>
}

async function measure(): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'im-bench-idle-'))
  const child = fork(import.meta.filename, ['--stack', dataDir], { execArgv: lightFlags })
  const ended = once(child, 'exit')
  try {
    const [ready] = (await Promise.race([once(child, 'message'), ended])) as [Ready | number]
    if (typeof ready !== 'object') throw new Error('The stack did not start')
    const { processes, choices } = ready
    await quiet(Object.values(processes))
    const rows = await Promise.all(
      Object.entries(processes).map(async ([name, pid]) => ({ name, pid, ...(await residentMegabytes(pid)) })),
    )
    const sum = (pick: (row: (typeof rows)[number]) => number) => rows.reduce((total, row) => total + pick(row), 0)
    const total = { resident: sum((row) => row.resident), proportional: sum((row) => row.proportional) }
    for (const { name, resident, proportional } of [...rows, { name: 'sum', ...total }])
      console.log(
        `${name.padEnd(10)}${resident.toFixed(1).padStart(8)} MB resident${proportional.toFixed(1).padStart(8)} MB proportional`,
      )
    console.log(`${total.resident <= target ? 'met' : 'MISSED'}: at most ${target} MB resident`)
    if (values.json) {
      const report = { at: new Date().toISOString(), machine: machine(), choices, rows, total }
      await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
    }
    return total.resident <= target ? 0 : 1
  } finally {
    if (child.connected) child.disconnect()
    await ended
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** At least `--settle` seconds, and until the processes together use less than 5 % of a CPU; at most a minute. */
async function quiet(pids: number[]): Promise<void> {
  const used = async () => (await Promise.all(pids.map(cpuSeconds))).reduce((sum, seconds) => sum + seconds, 0)
  await delay(Number(values.settle) * 1000)
  let before = await used()
  for (let second = 0; second < 60; second += 2) {
    await delay(2000)
    const now = await used()
    if (now - before < 0.1) return
    before = now
  }
}

if (values.help)
  console.log(`npm run bench:idle -- [--settle SECONDS (10)] [--json FILE]

Starts the whole stack on free ports, services in one process, waits until it is idle, and prints the resident memory of
each process and the sum. Exit code 1 above ${target} MB.`)
else if (values.stack) await runStack(values.stack)
else process.exitCode = await measure()
