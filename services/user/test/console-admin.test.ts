import { accounts, internalUsers } from '@im/contracts/user'
import { ConfigError } from '@im/service-kit'
import { failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { service } from '../src/service.ts'
import { startUser } from './start-user.ts'

const telephone = '13812345678'

test('the configured administrator is made once, and stays one with another password', async (t) => {
  const admin = { CONSOLE_ADMIN_TELEPHONE: telephone, CONSOLE_ADMIN_PASSWORD: 'admin-password' }
  const { api, internal, env } = await startUser(t, admin)
  const login = await api.call(accounts.login, { telephone, password: 'admin-password' })
  t.strictSame(login.role, [6])
  const again = await internal.call(internalUsers.seed, {})
  t.equal(again.adminMade, 0)
  const second = await service.start({ ...env, CONSOLE_ADMIN_PASSWORD: 'forgotten' })
  await second.close()
})

test('whoever registered the number before does not become administrator by it', async (t) => {
  const { api, internal, env } = await startUser(t)
  const mallory = { telephone, password: 'mine', nickname: 'mallory' }
  await api.call(accounts.register, mallory)
  const admin = { ...env, CONSOLE_ADMIN_TELEPHONE: telephone, CONSOLE_ADMIN_PASSWORD: 'admin-password' }
  const refused = await service.start(admin).then(
    () => undefined,
    (error: unknown) => error,
  )
  t.ok(refused instanceof ConfigError)
  t.match((refused as Error).message, /CONSOLE_ADMIN_TELEPHONE belongs to an account that is no administrator/)
  await t.rejects(
    internal.call(internalUsers.seed, { telephone, password: 'admin-password' }),
    failure('TelephoneTaken'),
  )
  t.strictSame((await api.call(accounts.login, mallory)).role, [])

  const owner = await service.start({ ...admin, CONSOLE_ADMIN_PASSWORD: mallory.password })
  t.teardown(() => owner.close())
  t.strictSame((await api.call(accounts.login, mallory)).role, [6], 'the password proves whose it is')
})
