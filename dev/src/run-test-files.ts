import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { childCpu, idleShare, nameOf, processesWith } from './machine/proc.ts'
import { type Load, limitOf, loadOf, titleOf } from './test-files.ts'
import { fileReport, type Outcome } from './test-report.ts'

export interface Run {
  root: string
  env: NodeJS.ProcessEnv
  /** How much runs beside each other: a plain file is 1. While the CPUs idle, two more. */
  capacity: number
  /** Ends what runs, and begins nothing more. */
  signal: AbortSignal
  print(line: string): void
  /** The longest time (s) of a file, see `limitOf`. */
  limit?(file: string): number
  /** The share of the CPUs that idled since it was last called. */
  idle?(): number
  /** The time (ms) that a process gets for each step of its end. */
  graceMs?: number
}

/** Of a file, or of files that share a process. */
export interface FileOutcome extends Outcome {
  files: readonly string[]
  /** It was ended because it took too long. */
  hung: boolean
  /** What is told of it. */
  lines: string[]
}

/** How often (ms) it is asked whether the CPUs idle, and the share of them from which on there is room for another file. */
const lookEveryMs = 1000
const muchIdle = 0.25

/**
 * Runs test files, several beside each other, and prints a line for each with what failed above it. Each has a process of its own,
 * but for those of one group. The outcomes are by the name of the group, see `titleOf`.
 *
 * tap's own runner is not used: it gives each process, and the services that a test starts, a hook that reads every module and
 * its source map, which costs a second of CPU; and a file that hangs takes results of others with it. Here nothing that a file
 * does or leaves behind can touch the next one: at its end or its time limit, its process group is ended, and every process
 * that it has started.
 */
export async function runTestFiles(groups: string[][], run: Run): Promise<Map<string, FileOutcome>> {
  const outcomes = new Map<string, FileOutcome>()
  const cpu = childCpu()
  const mostUsed = run.capacity + Math.min(2, run.capacity - 1)
  const weights: Record<Load, number> = { file: 1, stack: Math.min(2, run.capacity), alone: mostUsed }
  const order: Load[] = ['stack', 'file', 'alone']
  const running = new Set<Promise<void>>()
  let used = 0
  let room = run.capacity
  const idle = run.idle ?? idleShare()
  const tell = (outcome: FileOutcome) => {
    outcomes.set(titleOf(outcome.files), outcome)
    for (const line of outcome.lines) run.print(line)
  }

  // What waits half of its time leaves room for the next in order that fits.
  const loadOfGroup = ([file = '']: string[]) => loadOf(file)
  const waiting = order.flatMap((load) => groups.filter((files) => loadOfGroup(files) === load))
  const next = () => {
    const at = waiting.findIndex((files) => used === 0 || used + weights[loadOfGroup(files)] <= room)
    return at < 0 ? undefined : waiting.splice(at, 1)[0]
  }
  while (waiting.length > 0) {
    const files = next()
    if (files === undefined) {
      const timer = new AbortController()
      await Promise.race([...running, delay(lookEveryMs, undefined, { signal: timer.signal }).catch(() => {})])
      timer.abort()
      room = Math.max(run.capacity, idle() > muchIdle ? Math.min(used + weights.stack, mostUsed) : 0)
      continue
    }
    const weight = weights[loadOfGroup(files)]
    used += weight
    const lines = [`✖ ${titleOf(files)}: did not run`]
    const notRun: FileOutcome = { files, passed: 0, failed: 1, skipped: 0, hung: false, lines }
    const result = run.signal.aborted ? Promise.resolve(notRun) : runGroup(files, run, cpu)
    const task = result.then((outcome) => {
      used -= weight
      running.delete(task)
      tell(outcome)
    })
    running.add(task)
  }
  await Promise.all(running)
  return outcomes
}

/** Runs several files in one process. */
const runFiles = join(import.meta.dirname, 'run-files.ts')
/** Of the time (s) that a file may take: what each further one of its process adds. */
const furtherSeconds = 50

async function runGroup(files: readonly string[], run: Run, cpu: () => number): Promise<FileOutcome> {
  const { limit = limitOf, graceMs = 5000 } = run
  const file = titleOf(files)
  const seconds = Math.max(...files.map(limit)) + furtherSeconds * (files.length - 1)
  const paths = files.map((each) => join(run.root, each))
  const lines: string[] = []
  const report = fileReport(file, (line) => lines.push(line))
  const mark = `IM_TEST_FILE=${randomUUID()}`
  const began = performance.now()
  const handles = new HandleReport()
  const child = spawn(process.execPath, [...handles.args, ...(paths.length > 1 ? [runFiles, ...paths] : paths)], {
    cwd: run.root,
    // tap ends its tests a moment earlier than we do: it knows which of them hangs.
    env: { ...run.env, IM_TEST_FILE: mark.slice(mark.indexOf('=') + 1), TAP: '1', TAP_TIMEOUT: String(seconds) },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group of its own.
    detached: true,
  })
  child.stdout.setEncoding('utf8').on('data', (text: string) => report.parser.write(text))
  const errors = lastLines(child.stderr.setEncoding('utf8'))
  const end = ending(child)

  const timer = new AbortController()
  const late = delay(seconds * 1000 + graceMs / 2, 'late' as const, { signal: timer.signal }).catch(
    () => 'late' as const,
  )
  const first = await Promise.race([end, late, aborted(run.signal)])
  timer.abort()
  const hung = first === 'late' && !run.signal.aborted
  const kept = hung ? await handles.read(child) : []
  // tap answers SIGALRM with what it was waiting for.
  if (typeof first === 'string') await endProcess(child, ['SIGALRM', 'SIGTERM', 'SIGKILL'], graceMs, end)
  const left = leftProcesses(mark)
  await endLeft(mark, graceMs)
  killGroup(child, 'SIGKILL')
  // Nobody holds its output any more, unless the system gave us no way to find them.
  await Promise.race([closed(child), delay(graceMs, undefined, { ref: false })])
  const result = await Promise.race([end, undefined])

  const problem = hung
    ? `took longer than ${seconds} s`
    : run.signal.aborted
      ? 'interrupted'
      : result === undefined
        ? 'could not be ended'
        : result.problem
  const outcome = report.end(problem)
  if (outcome.failed === 0 && left.length > 0 && !hung) lines.push(`  ! left running: ${left.join(', ')}`)
  if (kept.length > 0) lines.push(`  ! kept alive by ${kept.join(', ')}`)
  for (const line of errors()) lines.push(`  │ ${line}`)
  const times = `${((performance.now() - began) / 1000).toFixed(1)} s, CPU ${cpu().toFixed(1)} s`
  lines.push(`${outcome.failed > 0 ? '✖' : '✔'} ${file} (${times})`)
  return { files, ...outcome, hung, lines }
}

/** What keeps a process alive that does not end: Node writes it when it gets a signal. */
class HandleReport {
  readonly #path = join(tmpdir(), `im-handles-${randomUUID()}.json`)
  readonly args = [
    ...['--report-on-signal', '--report-signal=SIGUSR2', '--report-exclude-env', '--report-exclude-network'],
    ...[`--report-directory=${tmpdir()}`, `--report-filename=${basename(this.#path)}`],
  ]

  async read(child: ChildProcess): Promise<string[]> {
    child.kill('SIGUSR2')
    for (let tries = 0; tries < 20; tries++) {
      await delay(100)
      try {
        const { libuv } = JSON.parse(await readFile(this.#path, 'utf8')) as { libuv: Handle[] }
        await rm(this.#path)
        return libuv.filter((handle) => handle.is_active && handle.is_referenced).map(describeHandle)
      } catch {
        // It is not written yet, or not to its end.
      }
    }
    return []
  }
}

/** As in a report of Node. */
interface Handle {
  type: string
  is_active: boolean
  is_referenced: boolean
  localEndpoint?: { ip4: string; port: number }
  remoteEndpoint?: { ip4: string; port: number }
  firesInMsFromNow?: number
}

function describeHandle({ type, localEndpoint: local, remoteEndpoint: remote, firesInMsFromNow: ms }: Handle): string {
  const ends = [local, remote].flatMap((end) => (end ? `${end.ip4}:${end.port}` : []))
  return [type, ...ends, ...(ms === undefined ? [] : [`in ${Math.round(ms)} ms`])].join(' ')
}

interface Ending {
  /** What was wrong with it, if anything. */
  problem?: string
}

/** How a process ends. */
function ending(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ problem: `could not be started: ${error.message}` }))
    child.once('exit', (code, signal) => {
      if (signal) resolve({ problem: `was killed (${signal})` })
      else resolve(code === 0 ? {} : { problem: `ended with exit code ${code}` })
    })
  })
}

function closed(child: ChildProcess): Promise<void> {
  const streams = [child.stdout, child.stderr].filter((stream) => stream && !stream.closed)
  return Promise.all(streams.map((stream) => new Promise((resolve) => stream?.once('close', resolve)))).then(() => {})
}

function aborted(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted')
    signal.addEventListener('abort', () => resolve('aborted'), { once: true })
  })
}

/** One signal after the other, until the process has ended. The first goes to the process alone, the others to its group. */
async function endProcess(
  child: ChildProcess,
  signals: NodeJS.Signals[],
  graceMs: number,
  end: Promise<Ending>,
): Promise<void> {
  for (const [index, signal] of signals.entries()) {
    if (index === 0) child.kill(signal)
    else killGroup(child, signal)
    const ended = await Promise.race([end.then(() => true), delay(graceMs, false, { ref: false })])
    if (ended) return
  }
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // nobody is left in the group
  }
}

/** Ends every process that carries the mark. */
async function endLeft(mark: string, graceMs: number): Promise<void> {
  const until = performance.now() + graceMs
  for (let marked = processesWith(mark); marked.length > 0; marked = processesWith(mark)) {
    const signal = performance.now() > until ? 'SIGKILL' : 'SIGTERM'
    for (const pid of marked)
      try {
        process.kill(pid, signal)
      } catch {
        // it has ended meanwhile
      }
    if (performance.now() > until + graceMs) return
    await delay(50)
  }
}

/** The programs that carry the mark. */
function leftProcesses(mark: string): string[] {
  return processesWith(mark).map(nameOf)
}

const mostErrorLines = 40

/** Collects what is written, and gives the end of it. */
function lastLines(stream: NodeJS.ReadableStream): () => string[] {
  let text = ''
  stream.on('data', (more: string) => {
    text += more
    if (text.length > 100_000) text = text.slice(-50_000)
  })
  return () =>
    text
      .split('\n')
      .filter((line) => line.trim())
      .slice(-mostErrorLines)
}
