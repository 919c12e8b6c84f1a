import { profiles, smsCodes, telephoneChanged, userUpdated } from '@im/contracts/user'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('a profile is announced when something that others see is different now', async (t) => {
  const { api, events, person } = await startUser(t)
  const alice = await person('alice')
  const update = (params: object) => api.call(profiles.updateUser, params, { as: alice.caller })
  const announced = await events(userUpdated)
  // Apps send all fields each time.
  await update({ nickname: 'alice', sex: 0, birthday: 0, cityId: 0, telephone: alice.phone, areaCode: '86' })
  await update({ payPassword: '1' })
  await update({ multipleDevices: 0 })
  await update({ nickname: 'Alice', sex: 0 })
  await update({ account: 'alice_1' })
  await update({ cityId: 5 })
  await eventually(() => announced.length >= 3)
  t.strictSame(
    announced.map(({ nickname, account }) => [nickname, account]),
    [
      ['Alice', announced[0]?.account],
      ['Alice', 'alice_1'],
      ['Alice', 'alice_1'],
    ],
  )
})

test('another telephone is announced to those who keep numbers', async (t) => {
  const { api, events, person, nextPhone } = await startUser(t)
  const alice = await person('alice')
  const announced = await events(telephoneChanged)
  const telephone = nextPhone()
  const { code: randcode } = await api.call(smsCodes.sendSms, { telephone })
  await api.call(profiles.updateUser, { telephone: alice.phone, nickname: 'Alice' }, { as: alice.caller })
  await api.call(profiles.updateUser, { telephone, randcode }, { as: alice.caller })
  await eventually(() => announced.length === 1)
  t.match(announced, [{ userId: alice.userId }])
})
