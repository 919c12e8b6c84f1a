import { accounts, internalUsers, passwords, profiles, smsCodes, userSettings, xmppAccounts } from '@im/contracts/user'
import { createOutbox } from '@im/service-kit'
import { startService, testEnv } from '@im/service-kit/testing'
import { type CommandStartedEvent, type Document, MongoClient } from 'mongodb'
import { type Test, test } from 'tap'
import { changeConfig } from '../src/config/change-config.ts'
import { recordPresences } from '../src/presence/record-presences.ts'
import { service } from '../src/service.ts'
import { makeAdmin } from '../src/system-users/make-admin.ts'
import { md5Of123456, postForm } from './start-user.ts'

interface Query {
  collection: string
  filter: Document
  sort?: Document
}

/** What a command looks for; nothing for those that look for nothing. */
function queriesOf(t: Test, { commandName, command }: CommandStartedEvent): Query[] {
  const collection = String(command[commandName])
  switch (commandName) {
    case 'find':
      return [{ collection, filter: command['filter'] ?? {}, sort: command['sort'] }]
    case 'findAndModify':
      return [{ collection, filter: command['query'] ?? {}, sort: command['sort'] }]
    case 'update':
      return (command['updates'] as Document[]).map(({ q }) => ({ collection, filter: q }))
    case 'delete':
      return (command['deletes'] as Document[]).map(({ q }) => ({ collection, filter: q }))
    default:
      t.ok(!['aggregate', 'count', 'distinct'].includes(commandName), `${commandName} has no case here yet`)
      return []
  }
}

/** The same for queries that differ in values only. */
function shapeOf({ collection, filter, sort }: Query): string {
  const form = (value: unknown): unknown => {
    if (Array.isArray(value)) return 'list'
    if (value === null || typeof value !== 'object' || value.constructor !== Object) return typeof value
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, form(member)]))
  }
  return JSON.stringify([collection, form(filter), sort ?? {}])
}

test('every query the service sends uses an index', async (t) => {
  const env = testEnv({ LIMIT_FACTOR: '0', ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1', SMS_ECHO_CODE: 'true' })
  const client = new MongoClient(env['MONGODB_URL'] ?? '', { monitorCommands: true, ignoreUndefined: true })
  t.after(() => client.close())
  const db = client.db(`${env['NAMESPACE']}_user`)
  const outbox = await createOutbox({ db, client, bus: { service: 'user', maxEventBytes: 1_000_000 }, wake: () => {} })
  const overrides = { db, mongoClient: client, outbox }
  const { url, deps, internal: api } = await startService(t, service, { env, overrides })

  const sent = new Map<string, Query>()
  client.on('commandStarted', (event) => {
    if (event.databaseName !== db.databaseName) return
    for (const query of queriesOf(t, event)) sent.set(shapeOf(query), query)
  })
  await everythingOnce()
  client.removeAllListeners('commandStarted')

  const shapes = [...sent.keys()]
  t.ok(shapes.length > 20, `${shapes.length} queries were seen`)
  for (const collection of ['users', 'sessions', 'refresh-tokens', 'counters', 'names', 'config'])
    t.ok(
      shapes.some((shape) => shape.startsWith(`["${collection}"`)),
      collection,
    )
  for (const [shape, { collection, filter, sort }] of sent) {
    const explained = await db.command({
      explain: { find: collection, filter, ...(sort ? { sort } : {}) },
      verbosity: 'queryPlanner',
    })
    const plan = JSON.stringify(explained['queryPlanner']?.['winningPlan'] ?? explained)
    t.notMatch(plan, /COLLSCAN/, shape)
    t.match(plan, /IXSCAN|IDHACK|EXPRESS|CLUSTERED/, `${shape} ${plan}`)
  }

  async function everythingOnce(): Promise<void> {
    await makeAdmin(deps, { telephone: 'admin_1', passwordMd5: md5Of123456 })
    await changeConfig(deps, { registerInviteCode: 2, defaultTelephones: ['8613900000009'] })
    const telephone = '13900000001'
    const person = { telephone, password: '123456', nickname: 'alice', serial: 's' }
    const { myInviteCode: inviteCode } = await api.call(accounts.register, person)
    const { userId } = await api.call(accounts.register, { ...person, telephone: '13900000002', inviteCode })
    const as = { as: userId }
    const { code } = await api.call(smsCodes.sendSms, { telephone, isRegister: 0 })
    await api.call(accounts.login, { telephone, loginType: 1, verificationCode: code })
    for (const name of [telephone, `86${telephone}`, '4d009f30087e9aa9f5b5806d5f350017'])
      await api.envelope(accounts.login, { telephone: name, password: '123456' })
    await api.envelope(accounts.login, { telephone: '13712345678', areaCode: '49', password: 'nobody' })
    await api.call(smsCodes.verifyTelephone, { telephone, verifyType: 1 })
    await api.call(userSettings.updateSettings, { multipleDevices: 0, allowGreet: 0 }, as)
    await api.call(userSettings.getSettings, {}, as)
    const { access_token } = await api.call(accounts.login, { telephone: '13900000002', password: '123456' })
    await api.call(accounts.autoLogin, { access_token, userId, serial: 's2' })
    await api.call(accounts.autoLogin, { access_token: 'f'.repeat(32), userId })
    await api.call(profiles.updateUser, { account: 'alice_1', nickname: 'Alice', payPassword: '1' }, as)
    await api.call(profiles.getUser, { userId: 'alice_1' }, as)
    await api.call(profiles.getUserByAccount, { account: String(userId) }, as)
    await api.call(profiles.getOnlineState, {}, as)
    await recordPresences(deps, [{ userId, online: true, at: Date.now() }])
    await recordPresences(deps, [{ userId, online: false, at: Date.now() + 1 }])
    await api.call(xmppAccounts.authenticate, { userId, password: access_token, ip: '127.0.0.1' })
    await api.call(xmppAccounts.authenticate, { userId, password: md5Of123456, ip: '127.0.0.1' })
    await api.call(internalUsers.getContact, { userId })
    await api.call(internalUsers.getContacts, { userIds: String(userId) })
    const grant = { grant_type: 'password', username: String(userId), password: '123456' }
    const first = (await postForm(url, '/oauth2/token', grant)).body as Record<string, string>
    const again = { grant_type: 'refresh_token', refresh_token: first['refresh_token'] ?? '' }
    const second = (await postForm(url, '/oauth2/token', again)).body as Record<string, string>
    const serviceKey = { 'x-service-key': deps.config.serviceKeys[0] ?? '' }
    await postForm(url, '/oauth2/introspect', { token: second['access_token'] ?? '' }, serviceKey)
    await postForm(url, '/oauth2/token', again)
    const third = (await postForm(url, '/oauth2/token', grant)).body as Record<string, string>
    await postForm(url, '/oauth2/revoke', { token: third['refresh_token'] ?? '' })
    await api.call(accounts.logout, {}, as)
    await api.call(passwords.updatePassword, { oldPassword: '123456', newPassword: 'new' }, as)
    const reset = await api.call(smsCodes.sendSms, { telephone, isRegister: 0 })
    await api.call(passwords.resetPassword, { telephone, randcode: reset.code, newPassword: 'x' })
    await api.call(internalUsers.setLocked, { userId, locked: 1 })
    await api.call(internalUsers.setLocked, { userId, locked: 0 })
  }
})
