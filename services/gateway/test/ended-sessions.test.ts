import { errors } from '@im/contracts'
import { accounts, passwords, userSettings } from '@im/contracts/user'
import { ownServer, slowProxy } from '@im/service-kit/testing'
import { test } from 'tap'
import { type Fleet, password, startFleet } from './fleet.ts'

/** Where somebody is logged in. */
interface Phone {
  telephone: string
  token: string
  refreshToken: string
}

const oauth = async ({ gateway }: Fleet, path: string, fields: Record<string, string>) => {
  const answer = await fetch(gateway.url + path, { method: 'POST', body: new URLSearchParams(fields) })
  return (await answer.json().catch(() => ({}))) as { access_token: string; refresh_token: string; error?: string }
}
const renew = (fleet: Fleet, refreshToken: string) =>
  oauth(fleet, '/oauth2/token', { grant_type: 'refresh_token', refresh_token: refreshToken })

const logIn = ({ apps }: Fleet, { telephone }: Phone, deviceKey: string) =>
  apps.call(accounts.login, { telephone, password, deviceKey })

/** What ends a session. */
const ways: Record<string, (fleet: Fleet, phone: Phone) => Promise<unknown>> = {
  'a logout': ({ apps }, { token }) => apps.call(accounts.logout, {}, { token }),
  'a new password': ({ apps }, { token }) =>
    apps.call(passwords.updatePassword, { oldPassword: password, newPassword: 'another' }, { token }),
  'a login on another phone': (fleet, phone) => logIn(fleet, phone, 'android'),
  'a login elsewhere where one device is allowed': async (fleet, phone) => {
    await fleet.apps.call(userSettings.updateSettings, { multipleDevices: 0 }, { token: phone.token })
    await logIn(fleet, phone, 'pc')
  },
  'a revocation of the token': (fleet, { token }) => oauth(fleet, '/oauth2/revoke', { token }),
  'a revocation of the refresh token': (fleet, phone) => oauth(fleet, '/oauth2/revoke', { token: phone.refreshToken }),
  'a renewal': (fleet, phone) => renew(fleet, phone.refreshToken),
}

/** The gateway hears of everything by NATS far later than its answers are given. */
async function startDeaf(t: Parameters<typeof slowProxy>[0]) {
  const nats = await ownServer(t, 'nats')
  if (!nats) return undefined
  const proxy = await slowProxy(t, nats.url)
  const fleet = await startFleet(t, { NATS_URL: nats.url }, { NATS_URL: proxy.url })
  proxy.delayMs = 1500
  const onPhone = async (): Promise<Phone> => {
    const telephone = await fleet.register()
    const fields = { grant_type: 'password', username: telephone, password, deviceKey: 'android' }
    const { access_token: token, refresh_token: refreshToken } = await oauth(fleet, '/oauth2/token', fields)
    return { telephone, token, refreshToken }
  }
  return { fleet, onPhone }
}

test('what ended a session is in force when it is answered, however late NATS tells of it', async (t) => {
  const deaf = await startDeaf(t)
  if (!deaf) return
  const { fleet, onPhone } = deaf
  for (const [way, end] of Object.entries(ways)) {
    const phone = await onPhone()
    t.equal(await fleet.use(phone.token), 1)
    await end(fleet, phone)
    t.equal(await fleet.use(phone.token), errors.TokenInvalid.code, way)
  }
})

test('a theft that is answered by an error is over when it is', async (t) => {
  const deaf = await startDeaf(t)
  if (!deaf) return
  const { fleet, onPhone } = deaf
  const phone = await onPhone()
  const renewed = await renew(fleet, phone.refreshToken)
  t.equal(await fleet.use(renewed.access_token), 1)
  t.equal((await renew(fleet, phone.refreshToken)).error, 'invalid_grant')
  t.equal(await fleet.use(renewed.access_token), errors.TokenInvalid.code)
})
