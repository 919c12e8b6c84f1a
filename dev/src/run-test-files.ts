/**
 * Runs test files beside each other and writes their TAP: `node run-test-files.ts <jobs> <file>…`.
 *
 * tap spawns them. `tap run` would do the same, but gives every process of a test a hook that reads each module and its source
 * map, for coverage and for lists of changed files, which nobody asks for here. It costs each process a second of CPU.
 */
import type { ChildProcess } from 'node:child_process'
import { t } from 'tap'

/** The longest time (s) of a file. */
const deadline = 300

const [jobs, ...files] = process.argv.slice(2)
// The hook is in the NODE_OPTIONS that `t.spawn` gives.
const node = ['-u', 'NODE_OPTIONS', `TAP_TIMEOUT=${deadline}`, process.execPath]
const running = new Set<ChildProcess>()
t.on('spawn', (file) =>
  file.once('process', (child) => {
    running.add(child)
    child.once('close', () => running.delete(child))
  }),
)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    for (const child of running) child.kill(signal)
    process.exit(1)
  })

/** Judges how long answers take while others attack. */
const isMeasuring = (file: string) => file.endsWith('/hostile-load.test.ts')
/** Runs a whole stack: eight processes and more. */
const hasStack = (file: string) => file.startsWith('test-e2e/') && !isMeasuring(file)

const groups = [
  { files: files.filter(hasStack), jobs: Math.ceil(Number(jobs) / 2) },
  { files: files.filter((file) => !hasStack(file) && !isMeasuring(file)), jobs: Number(jobs) },
  { files: files.filter(isMeasuring), jobs: 1 },
]

t.setTimeout(0)
t.plan(files.length)
for (const group of groups) {
  t.jobs = group.jobs
  const spawned = group.files.map((file) =>
    t.spawn('env', [...node, file], { name: file, buffered: true, timeout: deadline * 1000 }),
  )
  await Promise.all(spawned)
}
