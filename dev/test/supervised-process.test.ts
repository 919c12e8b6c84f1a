import { spawn } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { processIdentity } from '../src/machine/process-records.ts'
import { SupervisedProcess } from '../src/machine/supervised-process.ts'
import { temporaryFolder } from './fake-machine.ts'

/** A process that writes its pid to a file when it is up. */
async function subject(t: Test, options: { script?: string; supervise?: boolean; after?: Promise<unknown> } = {}) {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'up')
  const lines: string[] = []
  const script =
    options.script ??
    `require('fs').writeFileSync(${JSON.stringify(file)}, String(process.pid)); setInterval(() => {}, 1000)`
  const up = () => readFile(file, 'utf8').then(Number)
  const child: SupervisedProcess = new SupervisedProcess({
    name: 'subject',
    file: process.execPath,
    args: ['-e', script, file],
    ready: async () => {
      if ((await up()) !== child.pid) throw new Error('not up yet')
    },
    readyDeadlineMs: 5000,
    logFile: join(folder, 'subject.log'),
    records: join(folder, 'run'),
    report: { info: (line) => lines.push(line), progress() {} },
    supervise: options.supervise ?? true,
    ...(options.after ? { after: options.after } : {}),
  })
  t.after(() => child.stop())
  return { child, folder, lines, up }
}

const isAlive = async (pid: number) => (await processIdentity(pid)) !== undefined

test('a child that is killed by somebody is started again, with a line that says so', async (t) => {
  const { child, lines } = await subject(t)
  await child.start()
  const first = child.pid as number
  process.kill(first, 'SIGKILL')
  await eventually(() => lines.some((line) => line.includes('is back')))
  t.match(lines[0] ?? '', /subject was killed \(SIGKILL, 9\); starting it again/)
  t.not(child.pid, first)
  t.ok(await isAlive(child.pid as number))
})

test('a child that is killed by order stays down until restart', async (t) => {
  const { child, lines } = await subject(t)
  await child.start()
  const first = child.pid as number
  await child.kill('SIGKILL')
  t.equal(await isAlive(first), false)
  t.ok(!child.pid)
  await child.restart()
  t.ok(await isAlive(Number(child.pid)))
  t.strictSame(lines, [])
})

test('a child loads while others start, and begins after them, also when it is started again', async (t) => {
  const others = Promise.withResolvers<void>()
  const write = 'fs.writeFileSync(process.argv[1], String(process.pid))'
  const { child, folder, up } = await subject(t, {
    script: `const fs = require('fs'); fs.writeFileSync(process.argv[1] + '.loaded', '');
      process.stdin.resume().on('end', () => { ${write}; setInterval(() => {}, 1000) })`,
    after: others.promise,
  })
  const starting = child.start()
  await eventually(() => readFile(join(folder, 'up.loaded')))
  await t.rejects(up(), { code: 'ENOENT' })
  others.resolve()
  await starting
  t.equal(await up(), child.pid)
  await child.restart()
  t.equal(await up(), child.pid)
})

test('a child that waits for others is stopped when they fail', async (t) => {
  const { child, folder } = await subject(t, { script: 'process.stdin.resume()', after: new Promise(() => {}) })
  const starting = child.start()
  await eventually(() => child.pid !== undefined)
  await Promise.all([child.stop(), t.rejects(starting, /SIGTERM/)])
  t.strictSame(await readdir(join(folder, 'run')).catch(() => []), [])
})

test('a child that is stopped while it starts leaves neither a process nor a record', async (t) => {
  const stopAfter = async (turns: number) => {
    const { child, folder } = await subject(t)
    const starting = child.start().catch(() => {})
    while (child.pid === undefined) await nextTurn()
    const pid = child.pid
    for (let turn = 0; turn < turns; turn++) await nextTurn()
    await Promise.all([child.kill('SIGKILL'), starting])
    return { isAlive: await isAlive(pid), records: await readdir(join(folder, 'run')).catch(() => []) }
  }
  // Many at a time, so that the work on the disk takes turns with the ends of the processes.
  const found = await Promise.all(Array.from({ length: 48 }, (_, index) => stopAfter(index % 12)))
  for (const each of found) t.strictSame(each, { isAlive: false, records: [] })
})

test('what a killed child had started goes with it', async (t) => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'grandchild')
  const script = `const { pid } = require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    require('fs').writeFileSync(${JSON.stringify(file)}, String(pid)); setInterval(() => {}, 1000)`
  const { child, up } = await subject(t, {
    script: `${script}; require('fs').writeFileSync(process.argv[1], String(process.pid))`,
  })
  await child.start()
  t.equal(await up(), child.pid)
  const grandchild = Number(await readFile(file, 'utf8'))
  t.ok(await isAlive(grandchild))
  await child.kill('SIGKILL')
  await eventually(async () => !(await isAlive(grandchild)))
})

test('without supervision a death is only told', async (t) => {
  const { child, lines } = await subject(t, { supervise: false })
  await child.start()
  process.kill(child.pid as number, 'SIGTERM')
  await eventually(() => lines.length > 0)
  t.strictSame(lines, ['subject was killed (SIGTERM, 15)'])
  t.equal(child.pid, undefined)
})

test('a child that ends before it answers: the error shows the end of its log', async (t) => {
  const { child } = await subject(t, { script: "console.error('no such option'); process.exit(3)" })
  await t.rejects(
    child.start(),
    /subject ended with exit code 3\. Its log, .*subject\.log, ends with:\n {2}no such option/,
  )
  t.equal(child.pid, undefined)
})

test('a program that is not there: the error names it', async (t) => {
  const folder = await temporaryFolder(t)
  const child = new SupervisedProcess({
    ...{ name: 'ghost', file: join(folder, 'ghost'), args: [], ready: async () => {}, logFile: join(folder, 'log') },
    ...{ records: join(folder, 'run'), report: { info() {}, progress() {} }, supervise: true },
    ready: () => Promise.reject(new Error('never')),
  })
  await t.rejects(child.start(), /ghost/)
})

test('kill -9 of the parent ends the child', { skip: process.platform !== 'linux' }, async (t) => {
  const folder = await temporaryFolder(t)
  const parent = join(folder, 'parent.ts')
  const source = join(import.meta.dirname, '../src/machine/supervised-process.ts')
  await writeFile(
    parent,
    `import { readFileSync } from 'node:fs'
    import { SupervisedProcess } from ${JSON.stringify(source)}
    const child = new SupervisedProcess({
      name: 'child', file: process.execPath, args: ['-e', 'console.log("up"); setInterval(() => {}, 1000)'],
      ready: async () => { if (!readFileSync(${JSON.stringify(join(folder, 'log'))}, 'utf8').includes('up')) throw new Error('not up') },
      logFile: ${JSON.stringify(join(folder, 'log'))}, records: ${JSON.stringify(join(folder, 'run'))},
      report: { info() {}, progress() {} }, supervise: true,
    })
    await child.start()
    console.log(child.pid)`,
  )
  const running = spawn(process.execPath, [parent], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = Number(await new Promise((resolve) => running.stdout.once('data', (data) => resolve(String(data)))))
  t.ok(await isAlive(pid))
  running.kill('SIGKILL')
  await eventually(async () => !(await isAlive(pid)))
})
