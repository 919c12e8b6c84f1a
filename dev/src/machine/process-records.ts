import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import type { Reporter } from '../reporter.ts'

/** The record of a process that we started, so that a later run can stop it if this one is killed. */
interface ProcessRecord {
  pid: number
  /** Tells this process from a later one that got the same pid. */
  identity: string
}

/**
 * When and in which boot a living process was started, or undefined when there is none (a zombie counts as none).
 * Two processes never share it, so a pid that the system gave to someone else is never touched.
 */
export async function processIdentity(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') {
    const { stdout, exitCode } = await execa('ps', ['-o', 'lstart=', '-p', String(pid)], { reject: false })
    return exitCode === 0 && stdout.trim() ? stdout.trim() : undefined
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (!stat) return undefined
  // The second field is the program's name in parentheses and may hold anything; the rest is separated by spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  return `${boot.trim()}:${fields[19]}`
}

const recordFile = (folder: string, name: string) => join(folder, `${name}.json`)

export async function recordProcess(folder: string, name: string, pid: number): Promise<void> {
  const identity = await processIdentity(pid)
  if (identity === undefined) return
  await mkdir(folder, { recursive: true })
  await writeFile(recordFile(folder, name), JSON.stringify({ pid, identity } satisfies ProcessRecord))
}

export async function forgetProcess(folder: string, name: string): Promise<void> {
  await rm(recordFile(folder, name), { force: true })
}

async function livingProcess(folder: string, name: string): Promise<number | undefined> {
  const text = await readFile(recordFile(folder, name), 'utf8').catch(() => undefined)
  if (!text) return undefined
  try {
    const { pid, identity } = JSON.parse(text) as ProcessRecord
    return (await processIdentity(pid)) === identity ? pid : undefined
  } catch {
    return undefined // half written when the machine stopped
  }
}

const owner = 'owner'

/**
 * Makes this process the owner of a data folder: fails when another living one owns it, and stops what a killed owner left.
 */
export async function claimFolder(folder: string, report: Reporter): Promise<void> {
  const holder = await livingProcess(folder, owner)
  if (holder !== undefined)
    throw new Error(
      `${dirname(folder)} is in use by another run (pid ${holder}). Stop it first, or choose another data folder.`,
    )
  await stopLeftovers(folder, report)
  await recordProcess(folder, owner, process.pid)
}

export async function releaseFolder(folder: string): Promise<void> {
  await forgetProcess(folder, owner)
}

/** Stops every recorded process that still lives. Never the owner. */
export async function stopLeftovers(folder: string, report: Reporter): Promise<void> {
  const files = await readdir(folder).catch(() => [])
  const names = files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length))
  await Promise.all(
    names.map(async (name) => {
      const pid = name === owner ? undefined : await livingProcess(folder, name)
      if (pid !== undefined) {
        report.info(`Stopping ${name} (pid ${pid}), left over from an earlier run`)
        await endProcess(pid)
      }
      await forgetProcess(folder, name)
    }),
  )
}

/** SIGTERM, and SIGKILL after the deadline. */
export async function endProcess(pid: number, deadlineMs = 8000): Promise<void> {
  const identity = await processIdentity(pid)
  if (identity === undefined) return
  const isGone = async () => (await processIdentity(pid)) !== identity
  signal(pid, 'SIGTERM')
  const end = Date.now() + deadlineMs
  while (!(await isGone())) {
    if (Date.now() > end) signal(pid, 'SIGKILL')
    await delay(50)
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause
  }
}
