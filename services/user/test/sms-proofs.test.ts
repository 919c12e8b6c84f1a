import { errors } from '@im/contracts'
import { accounts, internalUsers, passwords, profiles, smsCodes } from '@im/contracts/user'
import { failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('what a code allows', async (t) => {
  const user = await startUser(t, {
    SMS_ECHO_CODE: 'true',
    ARGON2_MEMORY_KIB: '19456',
    HASH_CONCURRENCY: '1',
    HASH_QUEUE: '1',
  })
  const { api, nextPhone, deps } = user
  const register = (telephone: string, smsCode: string) =>
    api.call(accounts.register, { telephone, smsCode, password: '123456', nickname: 'x', isSmsRegister: 1 })
  const send = async (telephone: string, isRegister: 0 | 1) =>
    (await api.call(smsCodes.sendSms, { telephone, isRegister })).code

  /** While it runs one hash is computed and one waits, so no other is taken. */
  async function whileHashesAreRefused(work: () => Promise<unknown>): Promise<void> {
    let isOver = false
    const keepBusy = async () => {
      while (!isOver) await deps.hasher.hash('x')
    }
    const busy = Promise.all([keepBusy(), keepBusy()])
    await work()
    isOver = true
    await busy
  }

  t.test('a registration that fails leaves it to the next try, and it serves once', async (t) => {
    const telephone = nextPhone()
    const code = await send(telephone, 1)
    await whileHashesAreRefused(() => t.rejects(register(telephone, code), failure('ServiceUnavailable')))
    const registered = await register(telephone, code)
    t.equal(registered.telephone, `86${telephone}`)
    const other = nextPhone()
    await api.call(
      profiles.updateUser,
      { telephone: other, randcode: await send(other, 1) },
      { as: user.callerOf(registered.access_token, registered.userId) },
    )
    await t.rejects(register(telephone, code), failure('SmsCodeInvalid'), 'the number is free, the code used up')
  })

  t.test('so does a new number together with a pay password', async (t) => {
    const alice = await user.person('alice')
    const telephone = nextPhone()
    const randcode = await send(telephone, 1)
    const update = (more: object) =>
      api.call(profiles.updateUser, { telephone, randcode, ...more }, { as: alice.caller })
    await whileHashesAreRefused(() => t.rejects(update({ payPassword: '1' }), failure('ServiceUnavailable')))
    t.equal((await update({ payPassword: '1' })).phone, telephone)
  })

  t.test('so does a reset of a password, and it serves once', async (t) => {
    const bob = await user.person('bob')
    const randcode = await send(bob.phone, 0)
    const reset = () => api.call(passwords.resetPassword, { telephone: bob.phone, randcode, newPassword: 'new' })
    await whileHashesAreRefused(() => t.rejects(reset(), failure('ServiceUnavailable')))
    await reset()
    await t.rejects(reset(), failure('SmsCodeInvalid'))
  })

  t.test('so does a login to a locked account, and it serves once', async (t) => {
    const carol = await user.person('carol')
    const verificationCode = await send(carol.phone, 0)
    const login = () => api.call(accounts.login, { telephone: carol.phone, loginType: 1, verificationCode })
    const lock = (locked: 0 | 1) => user.internal.call(internalUsers.setLocked, { userId: carol.userId, locked })
    await lock(1)
    await t.rejects(login(), failure('AccountLocked'))
    await lock(0)
    const logins = await Promise.allSettled(Array.from({ length: 6 }, login))
    t.equal(logins.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const each of logins) if (each.status === 'rejected') t.match(each.reason, failure('SmsCodeInvalid'))
  })

  t.test('a login that meets another change after its code was used runs again', async (t) => {
    const frank = await user.person('frank')
    const verificationCode = await send(frank.phone, 0)
    const check = deps.smsCodes.check.bind(deps.smsCodes)
    t.teardown(() => Object.assign(deps.smsCodes, { check }))
    let uses = 0
    deps.smsCodes.check = async (...args) => {
      const proof = await check(...args)
      return (
        proof && {
          use: async () => {
            await proof.use()
            // What the login writes last is written by somebody else in between.
            const filter = { _id: `${frank.userId}:android` as never }
            if (++uses === 1) await deps.db.collection('sessions').updateOne(filter, { $set: { serial: 'other' } })
          },
        }
      )
    }
    const login = { telephone: frank.phone, loginType: 1, verificationCode, deviceKey: 'android' } as const
    t.equal((await api.call(accounts.login, login)).userId, frank.userId)
    t.equal(uses, 2)
  })

  t.test('two users can not take one number with it, neither at once nor one after the other', async (t) => {
    const [dave, erin] = [await user.person('dave'), await user.person('erin')]
    const telephone = nextPhone()
    const randcode = await send(telephone, 1)
    const take = ({ caller }: typeof dave) => api.envelope(profiles.updateUser, { telephone, randcode }, { as: caller })
    const answers = await Promise.all([dave, erin, dave, erin].map(take))
    t.equal(new Set(answers.flatMap(({ resultCode }, n) => (resultCode === 1 ? [n % 2] : []))).size, 1)
    const [winner, loser] = answers[0]?.resultCode === 1 || answers[2]?.resultCode === 1 ? [dave, erin] : [erin, dave]
    const other = nextPhone()
    const otherCode = await send(other, 1)
    await api.call(profiles.updateUser, { telephone: other, randcode: otherCode }, { as: winner.caller })
    await t.rejects(
      api.call(profiles.updateUser, { telephone, randcode }, { as: loser.caller }),
      failure('SmsCodeInvalid'),
      'the number is free again, but the code is used up',
    )
  })
})

test('a code for a registration and one for anything else live side by side', async (t) => {
  const { api, nextPhone } = await startUser(t, { SMS_ECHO_CODE: 'true' })
  const telephone = nextPhone()
  const { code: ofRegistration } = await api.call(smsCodes.sendSms, { telephone, isRegister: 1 })
  await api.call(accounts.register, { telephone, password: '1', nickname: 'x' })
  const { code } = await api.call(smsCodes.sendSms, { telephone, isRegister: 0 })
  const reset = (randcode: string) => api.envelope(passwords.resetPassword, { telephone, randcode, newPassword: 'new' })
  t.equal((await reset(ofRegistration)).resultCode, errors.SmsCodeInvalid.code)
  t.equal((await reset(code)).resultCode, 1)
})
