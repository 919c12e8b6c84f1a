import { accounts, profiles } from '@im/contracts/user'
import { createTestClient, startService } from '@im/service-kit/testing'
import { service as userService } from '@im/user'
import type { Test } from 'tap'
import { service } from '../src/service.ts'
import { everyServiceAt } from './stage.ts'

const quick = { ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1', LIMIT_FACTOR: '0' }

/** Everybody's. */
export const password = 'e10adc3949ba59abbe56e057f20f883e'

export type Fleet = Awaited<ReturnType<typeof startFleet>>

/** The gateway and the user service together, as apps meet them. `ofGateway` are settings of the gateway alone. */
export async function startFleet(t: Test, env: Record<string, string>, ofGateway: Record<string, string> = {}) {
  const user = await startService(t, userService, { env: { ...quick, ...env } })
  const { NAMESPACE: namespace = '' } = user.env
  const gateway = await startService(t, service, {
    env: { ...quick, ...env, NAMESPACE: namespace, ...everyServiceAt(user.url), ...ofGateway },
  })
  const apps = createTestClient({ baseUrl: gateway.url, timeout: 15_000 })
  t.after(() => apps.close())
  let phones = 13_900_000_000
  let devices = 0

  return {
    gateway,
    apps,
    async register(): Promise<string> {
      const telephone = String(++phones)
      await apps.call(accounts.register, { telephone, password, nickname: 'alice' })
      return telephone
    },
    /** A session of its own. */
    async logIn(telephone: string): Promise<string> {
      const deviceKey = ['android', 'ios', 'pc', 'mac', 'web'][devices++ % 5] as string
      return (await apps.call(accounts.login, { telephone, password, deviceKey })).access_token
    },
    logOut: (token: string) => apps.call(accounts.logout, {}, { token }),
    /** What a call with this token gives. */
    use: async (token: string) => (await apps.envelope(profiles.getUser, {}, { token })).resultCode,
  }
}
