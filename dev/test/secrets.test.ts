import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { loadSecrets } from '../src/secrets.ts'
import { temporaryFolder } from './fake-machine.ts'

test('secrets are made once, kept for their owner alone, and overruled by the environment', async (t) => {
  const file = join(await temporaryFolder(t), 'data/secrets.json')
  const first = await loadSecrets(file, { CALLER_KEY: 'given' })
  t.equal(first.values.CALLER_KEY, 'given')
  t.match(first.values.SESSION_PEPPER, /^[0-9a-f]{64}$/)
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.ok(!(await readFile(file, 'utf8')).includes('given'), 'what the environment gives is not written down')

  const second = await loadSecrets(file, {})
  t.strictSame({ ...second.values, CALLER_KEY: 'given' }, first.values)
})

test("the administrator's password is new until it was shown, however many starts failed before", async (t) => {
  const file = join(await temporaryFolder(t), 'data/secrets.json')
  const first = await loadSecrets(file, {})
  t.equal(first.passwordIsNew, true)
  t.equal((await loadSecrets(file, { CONSOLE_ADMIN_PASSWORD: 'given' })).passwordIsNew, false)
  const second = await loadSecrets(file, {})
  t.equal(second.passwordIsNew, true)
  t.equal(second.values.CONSOLE_ADMIN_PASSWORD, first.values.CONSOLE_ADMIN_PASSWORD)
  await second.passwordWasShown()
  const third = await loadSecrets(file, {})
  t.equal(third.passwordIsNew, false)
  t.strictSame(third.values, first.values)
})

test('a damaged file is an error that names it, not a reason to make new secrets', async (t) => {
  const file = join(await temporaryFolder(t), 'secrets.json')
  await writeFile(file, '{"SERVICE_KEY": "ab')
  await t.rejects(loadSecrets(file, {}), /secrets\.json is damaged/)
})

test('a place that can hold no data is an error that names it and says what to do', async (t) => {
  const taken = join(await temporaryFolder(t), 'a-file')
  await writeFile(taken, '')
  await t.rejects(loadSecrets(join(taken, 'secrets.json'), {}), {
    message: /\/a-file can't be a data folder \(.*\)\. Choose another one\.$/,
  })
})
