import { errors } from '@im/contracts'
import { accounts, profiles } from '@im/contracts/user'
import { createTestClient } from '@im/service-kit/testing'
import { test } from 'tap'
import { startTestStack } from '../src/stack.ts'

test('without Redis people register, log in and out through the gateway, and a dead token stays dead', async (t) => {
  const stack = await startTestStack({ env: { LIMIT_FACTOR: '1' } })
  t.after(() => stack.close())
  const api = createTestClient({ baseUrl: stack.gatewayUrl })
  t.after(() => api.close())
  const join = (telephone: string) =>
    api.call(accounts.register, { telephone, password: '123456', nickname: telephone })
  const codeOf = async (token: string) => (await api.envelope(profiles.getUser, {}, { token })).resultCode
  const alice = await join('13800000001')
  t.equal(await codeOf(alice.access_token), 1)

  await stack.kill('redis')
  const bob = await join('13800000002')
  t.equal(await codeOf(bob.access_token), 1, 'the gateway asks the user service')
  const login = { telephone: '13800000002', password: '123456', deviceKey: 'pc' }
  const second = await api.call(accounts.login, login)
  t.equal(await codeOf(second.access_token), 1)
  await api.call(accounts.logout, {}, { token: alice.access_token })
  t.equal(await codeOf(alice.access_token), errors.TokenInvalid.code)
  const third = await api.call(accounts.login, login)
  t.equal(await codeOf(second.access_token), errors.TokenInvalid.code, 'the device class has another session')

  await stack.restart('redis')
  t.equal(await codeOf(alice.access_token), errors.TokenInvalid.code)
  t.equal(await codeOf(third.access_token), 1)
})
