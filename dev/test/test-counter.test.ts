import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { testCounter } from '../src/test-counter.ts'
import { testFiles } from '../src/test-files.ts'
import { temporaryFolder } from './fake-machine.ts'

const file = '/x/a.test.ts'
const subtestsFailed = { error: { failureType: 'subtestsFailed' } }

test('parts count, their parents and suites do not', () => {
  const { counts, count } = testCounter()
  count({ name: 'part 1', nesting: 1, file, details: {} }, true)
  count({ name: 'part 2', nesting: 1, file, details: {} }, false)
  count({ name: 'whole', nesting: 0, file, details: subtestsFailed }, false)
  count({ name: 'in a suite', nesting: 1, file, details: {} }, true)
  count({ name: 'suite', nesting: 0, file, details: { type: 'suite' } }, true)
  count({ name: 'alone', nesting: 0, file, details: {} }, true)
  count({ name: 'skipped', nesting: 0, file, skip: '', details: {} }, true)
  assert.deepEqual(counts, { passed: 3, failed: 1, skipped: 1 })
})

test('a file that has no test counts nothing; one that cannot be loaded counts one failed', () => {
  const { counts, count } = testCounter()
  count({ name: '/x/empty.test.ts', nesting: 0, file: '/x/empty.test.ts', details: {} }, true)
  assert.deepEqual(counts, { passed: 0, failed: 0, skipped: 0 })
  count({ name: file, nesting: 0, file, details: { error: { failureType: 'testCodeFailure' } } }, false)
  assert.deepEqual(counts, { passed: 0, failed: 1, skipped: 0 })
})

test('a test that fails after its parts passed, and a suite whose hook fails, are failures', () => {
  const { counts, count } = testCounter()
  count({ name: 'part', nesting: 1, file, details: {} }, true)
  count({ name: 'whole', nesting: 0, file, details: { error: { failureType: 'testCodeFailure' } } }, false)
  count({ name: 'suite', nesting: 0, file, details: { type: 'suite', error: { failureType: 'hookFailed' } } }, false)
  assert.deepEqual(counts, { passed: 1, failed: 2, skipped: 0 })
})

test('test files are those of all packages, or those at or below the given paths', async (t) => {
  const root = await temporaryFolder(t)
  const all = [
    'libs/kit/test/a.test.ts',
    'services/user/test/deep/b.test.ts',
    'services/users/test/c.test.ts',
    'test-e2e/test/d.test.ts',
  ]
  for (const path of [...all, 'services/user/node_modules/x/test/no.test.ts', 'services/user/test/people.ts']) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), '')
  }
  const absolute = (paths: (string | undefined)[]) => paths.map((path) => join(root, path ?? ''))
  assert.deepEqual(testFiles([], root), absolute(all))
  assert.deepEqual(testFiles(['services/user'], root), absolute([all[1]]))
  assert.deepEqual(testFiles([all[0] as string, './test-e2e/'], root), absolute([all[0], all[3]]))
})
