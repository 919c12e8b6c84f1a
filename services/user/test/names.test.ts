import { errors } from '@im/contracts'
import { accounts, profiles, smsCodes } from '@im/contracts/user'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('a telephone that is given up is free, the new one is taken, and an account is taken once', async (t) => {
  const { api, person, nextPhone } = await startUser(t, { SMS_ECHO_CODE: 'true' })
  const alice = await person('alice')
  const bob = await person('bob')
  const newPhone = nextPhone()
  const { code } = await api.call(smsCodes.sendSms, { telephone: newPhone, isRegister: 1 })
  await api.call(profiles.updateUser, { telephone: newPhone, randcode: code }, { as: alice.caller })

  const taken = await api.envelope(accounts.register, { telephone: newPhone, password: 'x', nickname: 'eve' })
  t.equal(taken.resultCode, errors.TelephoneTaken.code)
  const carol = await api.call(accounts.register, { telephone: alice.phone, password: '123456', nickname: 'carol' })
  t.not(carol.userId, alice.userId)
  for (const [telephone, userId] of [
    [newPhone, alice.userId],
    [alice.phone, carol.userId],
  ] as const)
    t.equal((await api.call(accounts.login, { telephone, password: '123456' })).userId, userId)

  await api.call(profiles.updateUser, { account: 'the_one' }, { as: alice.caller })
  const second = await api.envelope(profiles.updateUser, { account: 'The_One' }, { as: bob.caller })
  t.equal(second.resultCode, errors.AccountTaken.code)
})

test('nicknames show what they are: what is invisible is removed, and a name of nothing else is refused', async (t) => {
  const { api, person, nextPhone } = await startUser(t)
  const alice = await person(' al\u200bice\u202e\n ')
  const as = { as: alice.caller }
  t.equal((await api.call(profiles.getUser, {}, as)).nickname, 'alice')
  for (const nickname of ['\u3164', '\u200b\ufeff', '\u202e \u2800']) {
    const made = await api.envelope(accounts.register, { telephone: nextPhone(), password: 'x', nickname })
    t.equal(made.resultCode, errors.InvalidParams.code)
    const renamed = await api.envelope(profiles.updateUser, { nickname, sex: 1 }, as)
    t.equal(renamed.resultCode, errors.InvalidParams.code)
  }
  const { nickname, sex } = await api.call(profiles.getUser, {}, as)
  t.strictSame([nickname, sex], ['alice', 0], 'nothing changed')
  const { description } = await api.call(profiles.updateUser, { description: ' one\u200b\r\ntwo\u202e' }, as)
  t.equal(description, 'one\ntwo')
  t.equal((await api.call(profiles.updateUser, { description: '\u3164' }, as)).description, '')
})
