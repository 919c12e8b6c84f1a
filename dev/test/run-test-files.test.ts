import { mkdirSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { processIdentity } from '../src/machine/process-records.ts'
import { runTestFiles } from '../src/run-test-files.ts'

const passing = `console.log('# Subtest: fine\\n    ok 1 - it is\\n    1..1\\nok 1 - fine\\n1..1')\n`
const tap = `import { test } from '${import.meta.resolve('tap')}'\n`
/** Starts a process that ignores SIGTERM, in a session of its own, and says its pid. */
const leaveBehind = `
import { spawn } from 'node:child_process'
const left = spawn('sh', ['-c', 'trap "" TERM; while :; do sleep 1; done'], { detached: true, stdio: 'inherit' })
left.unref()
console.error('pid', left.pid)
`

/** Runs files with this text, at most some seconds each, two at a time while the CPUs are busy. */
async function run(
  t: Test,
  files: Record<string, string>,
  {
    signal = new AbortController().signal,
    idle = (): number => 0,
    seconds = 2,
    groups = undefined as string[][] | undefined,
  } = {},
) {
  const root = t.testdir()
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(`${root}/services`, { recursive: true })
    writeFileSync(`${root}/${name}`, text)
  }
  const lines: string[] = []
  const options = { root, env: process.env, capacity: 2, idle, signal, print: (line: string) => lines.push(line) }
  const outcomes = await runTestFiles(groups ?? Object.keys(files).map((file) => [file]), {
    ...options,
    limit: () => seconds,
    graceMs: 1000,
  })
  const counts = Object.fromEntries([...outcomes].map(([name, { passed, failed }]) => [name, { passed, failed }]))
  return { counts, lines, text: lines.join('\n'), outcomes }
}

const one = { passed: 1, failed: 0 }

test('files that hang are ended, say what hung, and leave the results of others alone', async (t) => {
  const { counts, text, outcomes } = await run(t, {
    'services/good.mjs': passing,
    'services/awaits.mjs': `${tap}test('never ends', async () => { setInterval(() => {}, 1000); await new Promise(() => {}) })`,
    'services/spins.mjs': `${passing}for (;;) {}`,
    'services/last.mjs': passing,
    'services/keeps.mjs': `import { createServer } from 'node:net'\ncreateServer().listen(0, '127.0.0.1')\n${passing}`,
  })
  t.match(text, /kept alive by [^\n]*tcp 127\.0\.0\.1:\d+/)
  t.strictSame(counts['services/good.mjs'], one)
  t.strictSame(counts['services/last.mjs'], one)
  t.match(counts['services/awaits.mjs'], { failed: 1 })
  t.strictSame(counts['services/spins.mjs'], { passed: 1, failed: 1 })
  t.match(text, /never ends/)
  t.match(text, /✖ services\/spins\.mjs: took longer than 2 s/)
  t.strictSame(
    [...outcomes]
      .filter(([, { hung }]) => hung)
      .map(([name]) => name)
      .sort(),
    ['services/awaits.mjs', 'services/keeps.mjs', 'services/spins.mjs'],
  )
})

test('what a file leaves running is ended with it', { skip: process.platform !== 'linux' }, async (t) => {
  const { counts, text } = await run(t, { 'services/leaves.mjs': passing + leaveBehind })
  t.strictSame(counts['services/leaves.mjs'], one)
  t.match(text, /! left running: sh/)
  const pid = Number(/pid (\d+)/.exec(text)?.[1])
  t.ok(pid > 0)
  t.equal(await processIdentity(pid), undefined)
})

test('an exit code, a signal and a missing plan are failures that are told', async (t) => {
  const { counts, text } = await run(t, {
    'services/code.mjs': `${passing}process.exitCode = 3`,
    'services/signal.mjs': `process.kill(process.pid, 'SIGKILL')`,
    'services/throws.mjs': `throw new Error('not today')`,
  })
  t.strictSame(counts['services/code.mjs'], { passed: 1, failed: 1 })
  t.strictSame(counts['services/signal.mjs'], { passed: 0, failed: 1 })
  t.match(text, /code\.mjs: ended with exit code 3/)
  t.match(text, /signal\.mjs: was killed \(SIGKILL\)/)
  t.match(text, /│ Error: not today/)
})

test('an error that nobody waits for fails the test that runs, and those after it run', async (t) => {
  const stray = (name: string, error: string) =>
    `test('${name}', async (t) => { t.ok(true); setTimeout(() => { ${error} }); await new Promise((end) => setTimeout(end, 200)) })\n`
  const { counts, text } = await run(t, {
    'services/stray.mjs': [
      ...[tap, stray('thrown', "throw new Error('one')"), stray('rejected', "Promise.reject(new Error('two'))")],
      `test('last', async (t) => t.ok(true))`,
    ].join(''),
  })
  t.equal(counts['services/stray.mjs']?.passed, 1)
  t.match(text, /› thrown › one/)
  t.match(text, /› rejected › two/)
})

test('files of one process run one after the other, and are counted together', async (t) => {
  const file = (name: string, body: string) => `${tap}console.error('loaded ${name}', process.pid)
test('${name}', async (t) => { console.error('ran ${name}', process.pid); ${body} })`
  const good = 't.ok(true); await new Promise((end) => setTimeout(end, 100)); t.ok(true)'
  const { counts, text, outcomes } = await run(
    t,
    { 'services/a.test.mjs': file('a', good), 'services/b.test.mjs': file('b', `${good}; t.fail('b is bad')`) },
    { groups: [['services/a.test.mjs', 'services/b.test.mjs']], seconds: 20 },
  )
  const [name = ''] = Object.keys(counts)
  t.strictSame(counts[name], { passed: 1, failed: 1 })
  t.strictSame(outcomes.get(name)?.files, ['services/a.test.mjs', 'services/b.test.mjs'])
  t.match(text, /✖ .*b › b is bad/)
  const said = [...text.matchAll(/│ (.+) (\d+)/g)]
  t.strictSame(
    said.map(([, what]) => what),
    ['loaded a', 'loaded b', 'ran a', 'ran b'],
  )
  t.equal(new Set(said.map(([, , pid]) => pid)).size, 1)
})

test('files of one process have failed when one of them cannot be loaded', async (t) => {
  const { counts, text } = await run(
    t,
    {
      'services/a.test.mjs': `${tap}test('a', async (t) => t.ok(true))`,
      'services/b.test.mjs': `throw new Error('not b')`,
    },
    { groups: [['services/a.test.mjs', 'services/b.test.mjs']], seconds: 20 },
  )
  t.match(Object.values(counts)[0], { failed: 1 })
  t.match(text, /✖ .*› not b/)
})

/** Passes when so many of its kind run beside each other. */
const together = (count: number) => `
import { readdirSync, writeFileSync } from 'node:fs'
const folder = import.meta.dirname + '/..'
writeFileSync(folder + '/here-' + process.pid, '')
while (readdirSync(folder).filter((name) => name.startsWith('here-')).length < ${count}) await new Promise((go) => setTimeout(go, 50))
${passing}`

test('a file more runs while the CPUs idle, and none while they are busy', async (t) => {
  const names = ['a', 'b', 'c'].map((name) => `services/${name}.mjs`)
  const files = Object.fromEntries(names.map((name) => [name, together(3)]))
  const { counts } = await run(t, files, { idle: () => 1, seconds: 20 })
  t.strictSame(counts, Object.fromEntries(names.map((name) => [name, one])))
  const busy = await run(t, files, { idle: () => 0 })
  t.match(busy.text, /took longer than 2 s/)
})

test('an interrupted run ends what runs, and begins nothing more', async (t) => {
  const interrupt = new AbortController()
  const waits = `console.log('ok 1 - began'); setInterval(() => {}, 1000)`
  const running = run(
    t,
    { 'services/a.mjs': waits, 'services/b.mjs': waits, 'services/c.mjs': waits },
    { signal: interrupt.signal },
  )
  await delay(500)
  interrupt.abort()
  const { text } = await running
  t.match(text, /a\.mjs: interrupted/)
  t.match(text, /c\.mjs: did not run/)
})
