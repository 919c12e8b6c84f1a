import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Reporter } from '../reporter.ts'
import { findCommand } from './commands.ts'
import { followFile } from './follow-file.ts'
import { forgetProcess, recordProcess } from './process-records.ts'

export interface Launch {
  file: string
  args: string[]
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Runs before each start. */
  prepare?(): Promise<void>
  /** What the process needs to begin. It loads meanwhile: its standard input stays open so long. */
  after?: Promise<unknown>
  /** Resolves when the process answers. It is called until it succeeds. */
  ready(): Promise<void>
  readyDeadlineMs?: number
  /** How long a graceful end may take before it is forced. */
  stopDeadlineMs?: number
  /** Finds in the log since the start why the process ended or does not answer. Without it the end of the log is shown. */
  reason?(log: string): string | undefined
  /** Gets each line that it logs. */
  onLog?(line: string): void
  /** Sends a signal where signalling the process itself does not work (Docker). */
  signal?(name: NodeJS.Signals): Promise<void>
}

export interface SupervisedOptions extends Launch {
  /** The name of its record. */
  name: string
  /** The name to print at the start of a sentence; by default `name`. */
  title?: string
  logFile: string
  /** Folder of process records, see process-records.ts. */
  records: string
  report: Reporter
  /** Start it again when it dies without our doing. */
  supervise: boolean
  /** Ends it, whatever it is doing, and keeps it from being started. */
  abort?: AbortSignal
}

const maxLogBytes = 16 * 1024 * 1024
const stopDeadline = 10_000
/** Enough to see why a process ended. */
const explainedLogBytes = 64 * 1024
/** A process that has run this long is restarted without a longer pause. */
const steadyMs = 30_000
const firstPauseMs = 250
const longestPauseMs = 10_000

/** A child process that is logged to a file, started again when it dies, and stopped with this process. */
export class SupervisedProcess {
  readonly #options: SupervisedOptions
  #child: ChildProcess | undefined
  /** The process must not run: it is not started yet, was killed on purpose, or is closed. */
  #held = true
  #holding = new AbortController()
  /** The process has answered since it was started, so from now on it is started again when it dies. */
  #proven = false
  #deaths = 0
  #startedAt = 0
  #coming: Promise<void> | undefined
  /** Where in the log file the present start begins. */
  #logStart = 0
  #log: { close(): void } | undefined
  /** Settles when the record on disk is as it was last asked for: a process may end while its record is being written. */
  #record: Promise<void> = Promise.resolve()

  constructor(options: SupervisedOptions) {
    this.#options = options
    options.abort?.addEventListener('abort', () => void this.stop(), { once: true })
  }

  get name(): string {
    return this.#options.name
  }

  get #title(): string {
    return this.#options.title ?? this.name
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves when the process answers; rejects with the end of its log when it never does. */
  async start(): Promise<void> {
    this.#options.abort?.throwIfAborted()
    this.#held = false
    this.#proven = false
    this.#holding = new AbortController()
    try {
      await this.#launch()
      this.#options.abort?.throwIfAborted()
      this.#proven = true
    } catch (cause) {
      await this.kill('SIGKILL')
      throw cause
    }
  }

  /** Sends the signal, waits for the end, and leaves it down until `restart()`. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    this.#held = true
    this.#holding.abort()
    await this.#end(signal)
    // It may have been starting again.
    await this.#coming
    await this.#end(signal)
    await this.#record
  }

  async stop(): Promise<void> {
    await this.kill('SIGTERM')
  }

  /** Stops it if it runs, starts it with the same data and ports; resolves when it answers. */
  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** For the last moment of a forced end: no waiting. */
  killNow(): void {
    this.#held = true
    this.#child?.kill('SIGKILL')
  }

  async #launch(): Promise<void> {
    const { after, ready, readyDeadlineMs = 60_000 } = this.#options
    await this.#options.prepare?.()
    // On Linux the kernel ends the child when this process ends. Elsewhere the next start stops recorded processes.
    const setpriv = process.platform === 'linux' ? await findCommand('setpriv', process.env) : undefined
    if (this.#held) return
    const child = this.#spawn(setpriv)
    this.#child = child
    this.#startedAt = Date.now()
    const early = new Promise<never>((_, reject) => {
      child.once('error', (cause) => reject(new Error(`${this.#title} could not be started: ${cause.message}`)))
      child.once('exit', async (code, signal) => reject(new Error(await this.#explain(ending(code, signal)))))
    })
    early.catch(() => {})
    child.once('exit', (code, signal) => {
      endGroup(child)
      this.#log?.close()
      this.#ended(child, code, signal)
    })
    if (child.pid !== undefined) await this.#remember(child.pid)
    await Promise.race([early, after])
    child.stdin?.end()
    await Promise.race([
      early,
      this.#answer(ready, readyDeadlineMs, () => child.exitCode === null && child.signalCode === null),
    ])
  }

  #remember(pid: number): Promise<void> {
    const { records, name } = this.#options
    this.#record = this.#record.catch(() => {}).then(() => recordProcess(records, name, pid))
    return this.#record
  }

  #forget(): Promise<void> {
    const { records, name } = this.#options
    this.#record = this.#record.catch(() => {}).then(() => forgetProcess(records, name))
    return this.#record
  }

  #spawn(setpriv: string | undefined): ChildProcess {
    const { file, args, cwd, env, after, logFile, onLog } = this.#options
    const log = openLog(logFile)
    this.#logStart = fstatSync(log).size
    if (onLog) this.#log = followFile(logFile, this.#logStart, onLog)
    try {
      return spawn(setpriv ?? file, setpriv ? ['--pdeathsig', 'TERM', '--', file, ...args] : args, {
        cwd,
        env: env ?? process.env,
        stdio: [after ? 'pipe' : 'ignore', log, log],
        // Ctrl-C in the terminal is for us alone: services finish their work before their servers go.
        detached: true,
      })
    } finally {
      closeSync(log)
    }
  }

  async #answer(ready: () => Promise<void>, deadlineMs: number, isAlive: () => boolean): Promise<void> {
    const began = Date.now()
    for (;;) {
      try {
        return await ready()
      } catch (cause) {
        if (!isAlive()) return await new Promise(() => {}) // `early` tells
        const waited = Date.now() - began
        if (waited > deadlineMs)
          throw new Error(
            await this.#explain(`does not answer after ${deadlineMs / 1000} s (${(cause as Error).message})`),
          )
        // Questions cost the CPU that it starts with.
        await delay(Math.min(250, Math.max(30, waited / 20)))
      }
    }
  }

  async #explain(what: string): Promise<string> {
    const { logFile, reason } = this.#options
    const log = await readEnd(logFile, this.#logStart).catch(() => '')
    const known = reason?.(log)
    if (known) return known
    if (!log.trim()) return `${this.#title} ${what}, and logged nothing`
    const tail = log.trimEnd().split('\n').slice(-12).join('\n  ')
    return `${this.#title} ${what}. Its log, ${logFile}, ends with:\n  ${tail}`
  }

  #ended(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    const { report, supervise } = this.#options
    const title = this.#title
    if (this.#child !== child) return
    this.#child = undefined
    if (this.#held) return // whoever ordered it waits for it and forgets it
    this.#forget().catch(() => {})
    if (!this.#proven || this.#coming) return
    if (!supervise) {
      report.info(`${title} ${ending(code, signal)}`)
      return
    }
    report.info(`${title} ${ending(code, signal)}; starting it again`)
    this.#coming = this.#comeBack().finally(() => {
      this.#coming = undefined
    })
  }

  async #comeBack(): Promise<void> {
    const { report } = this.#options
    for (;;) {
      this.#deaths = Date.now() - this.#startedAt > steadyMs ? 0 : this.#deaths + 1
      const pause = Math.min(firstPauseMs * 2 ** Math.max(0, this.#deaths - 1), longestPauseMs)
      await delay(pause, undefined, { signal: this.#holding.signal }).catch(() => {})
      if (this.#held) return
      try {
        await this.#launch()
        if (!this.#held) report.info(`${this.#title} is back (pid ${this.pid})`)
        return
      } catch (cause) {
        if (this.#held) return
        report.info(`${this.#title} did not come back: ${(cause as Error).message}`)
        await this.#end('SIGKILL')
      }
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    const send = this.#options.signal ?? (async (name: NodeJS.Signals) => void child.kill(name))
    await send(signal)
    const forced = setTimeout(() => void send('SIGKILL'), this.#options.stopDeadlineMs ?? stopDeadline)
    await gone
    clearTimeout(forced)
    await this.#forget()
  }
}

/** Also ends what the process has started (Prosody's sync helper), so that nothing holds its ports or files. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // nobody is left in the group
  }
}

function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true })
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size > maxLogBytes) renameSync(file, `${file}.old`)
  return openSync(file, 'a')
}

async function readEnd(file: string, from: number): Promise<string> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const start = Math.max(from, size - explainedLogBytes)
    const { buffer } = await handle.read(Buffer.alloc(Math.max(0, size - start)), 0, undefined, start)
    return buffer.toString()
  } finally {
    await handle.close()
  }
}

function ending(code: number | null, signal: NodeJS.Signals | null): string {
  return signal ? `was killed (${signal}, ${constants.signals[signal]})` : `ended with exit code ${code}`
}
