import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadSecrets } from '../src/secrets.ts'
import { temporaryFolder } from './fake-machine.ts'

test('secrets are made once, kept for their owner alone, and overruled by the environment', async (t) => {
  const file = join(await temporaryFolder(t), 'data/secrets.json')
  const first = await loadSecrets(file, { CALLER_KEY: 'given' })
  assert.equal(first.values.CALLER_KEY, 'given')
  assert.match(first.values.SESSION_PEPPER, /^[0-9a-f]{64}$/)
  assert.ok(first.fresh.includes('CONSOLE_ADMIN_PASSWORD') && !first.fresh.includes('CALLER_KEY'))
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.ok(!(await readFile(file, 'utf8')).includes('given'), 'what the environment gives is not written down')

  const second = await loadSecrets(file, {})
  assert.deepEqual(second.fresh, ['CALLER_KEY'])
  assert.deepEqual({ ...second.values, CALLER_KEY: 'given' }, first.values)
})

test('a damaged file is an error that names it, not a reason to make new secrets', async (t) => {
  const file = join(await temporaryFolder(t), 'secrets.json')
  await writeFile(file, '{"SERVICE_KEY": "ab')
  await assert.rejects(loadSecrets(file, {}), /secrets\.json is damaged/)
})
