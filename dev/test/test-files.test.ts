import { spawnSync } from 'node:child_process'
import { chmodSync, globSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { repositoryRoot } from '../src/machine/machine.ts'
import { isLoadTest, loadOf, patient, testFiles } from '../src/test-files.ts'

test('each test file of the repository is found once; those of load bear nothing beside them', async (t) => {
  const files = testFiles([])
  const all = globSync('**/*.test.ts', { cwd: repositoryRoot, exclude: (name) => /(^|\/)node_modules$/.test(name) })
  t.strictSame(files.toSorted(), all.sort())
  const load = files.filter(isLoadTest)
  t.equal(load.length, 6)
  t.ok(load.every((file) => loadOf(file) === 'alone'))
  for (const pattern of patient) {
    const [, few = ''] = /\{(.*)\}/.exec(pattern) ?? []
    t.equal(globSync(pattern, { cwd: repositoryRoot }).length, few.split(',').length, pattern)
  }
  t.ok(!files.some((file) => loadOf(file) === 'alone' && !isLoadTest(file)))
})

test('CI runs both commands, and adds up what they count', async (t) => {
  const folder = t.testdir()
  /** Runs CI with an npm that writes this for each of the commands. */
  const ci = (said: Record<string, string>) => {
    const cases = Object.entries(said).map(([script, what]) => `  '--silent run ${script}') ${what} ;;`)
    writeFileSync(join(folder, 'npm'), ['#!/bin/sh', 'case "$*" in', ...cases, 'esac', ''].join('\n'))
    chmodSync(join(folder, 'npm'), 0o755)
    const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}` }
    const { status, stdout } = spawnSync(join(repositoryRoot, '.ci/run'), { env, encoding: 'utf8' })
    return { status, last: stdout.trim().split('\n').at(-1) }
  }
  const good = "echo '20 passed, 0 failed'"
  t.strictSame(ci({ test: good, 'test:load': "echo '3 passed, 0 failed'" }), { status: 0, last: '23 passed, 0 failed' })
  const bad = "echo '2 passed, 1 failed'; exit 1"
  t.strictSame(ci({ test: good, 'test:load': bad }), { status: 1, last: '22 passed, 1 failed' })
  t.strictSame(ci({ test: bad, 'test:load': good }), { status: 1, last: '22 passed, 1 failed' })
  t.strictSame(ci({ test: good, 'test:load': 'exit 137' }), { status: 1, last: '20 passed, 1 failed' })
  t.strictSame(ci({ test: 'exit 0', 'test:load': good }), { status: 1, last: '20 passed, 1 failed' })
})
