import { accounts, internalUsers, passwords, userSettings } from '@im/contracts/user'
import { test } from 'tap'
import { type Person, postForm, startUser } from './start-user.ts'

test('whatever ends a session ends the refresh token of its device, too', async (t) => {
  const user = await startUser(t)
  const { api, internal } = user

  const grant = async ({ phone: username }: Person) => {
    const fields = { grant_type: 'password', username, password: '123456', deviceKey: 'web' }
    return (await postForm(user.url, '/oauth2/token', fields)).body as Record<string, string>
  }
  const refresh = async (token = '') =>
    (await postForm(user.url, '/oauth2/token', { grant_type: 'refresh_token', refresh_token: token })).body
  const logIn = ({ phone: telephone }: Person, deviceKey: string) =>
    api.call(accounts.login, { telephone, password: '123456', deviceKey })
  const lock = (userId: number, locked: 0 | 1) => internal.call(internalUsers.setLocked, { userId, locked })

  const endings: Record<string, (person: Person, webToken: string) => Promise<unknown>> = {
    'a new password': ({ caller }) =>
      api.call(passwords.updatePassword, { oldPassword: '123456', newPassword: '1' }, { as: caller }),
    'a lock, also when it is taken back': async ({ userId }) => {
      await lock(userId, 1)
      await lock(userId, 0)
    },
    'a logout': ({ userId }, webToken) => api.call(accounts.logout, {}, { as: user.callerOf(webToken, userId, 'web') }),
    'a login on a device of its class': (person) => logIn(person, 'web'),
    'the same after its session has expired': async (person) => {
      user.passSeconds(8 * 86_400)
      await logIn(person, 'web')
    },
    'a login on another device, where one is allowed': async (person) => {
      await api.call(userSettings.updateSettings, { multipleDevices: 0 }, { as: person.caller })
      await logIn(person, 'ios')
    },
  }
  for (const [name, end] of Object.entries(endings)) {
    const person = await user.person('rita')
    const granted = await grant(person)
    await end(person, granted['access_token'] ?? '')
    t.equal((await refresh(granted['refresh_token']))['error'], 'invalid_grant', name)
  }

  const tess = await user.person('tess')
  const kept = await grant(tess)
  // As by a build that did not end sessions with the lock.
  await user.deps.outbox.commit((change) => user.deps.users.setStatus(tess.userId, -1, change))
  t.equal((await refresh(kept['refresh_token']))['error'], 'invalid_grant', 'a lock, whatever became of the token')

  const sam = await user.person('sam')
  const granted = await grant(sam)
  await logIn(sam, 'ios')
  t.ok((await refresh(granted['refresh_token']))['access_token'], 'a login on another device does not end it')
})

test('a login keeps one row however often it is refreshed, and every token that was used ends it', async (t) => {
  const user = await startUser(t)
  const { userId, phone: username } = await user.person('uma')
  const post = async (fields: Record<string, string>) =>
    (await postForm(user.url, '/oauth2/token', fields)).body as Record<string, string>
  const refresh = (token = '') => post({ grant_type: 'refresh_token', refresh_token: token })
  const rowsOfUser = async () => {
    const collections = await user.deps.db.collections()
    const counts = await Promise.all(collections.map((collection) => collection.countDocuments({ userId })))
    return counts.reduce((sum, count) => sum + count)
  }
  const pairs = [await post({ grant_type: 'password', username, password: '123456', deviceKey: 'web' })]
  const before = await rowsOfUser()
  for (let n = 0; n < 4; n++) pairs.push(await refresh(pairs.at(-1)?.['refresh_token']))
  t.equal(await rowsOfUser(), before)
  t.equal(new Set(pairs.map(({ refresh_token: token }) => token)).size, 5)
  for (const { refresh_token: token } of pairs) t.match(token, /^[0-9a-f]{64}$/)
  t.equal((await refresh(pairs[1]?.['refresh_token']))['error'], 'invalid_grant')
  t.equal((await refresh(pairs[4]?.['refresh_token']))['error'], 'invalid_grant', 'the whole family has ended')
})
