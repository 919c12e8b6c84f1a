import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { accounts, passwords, profiles } from '@im/contracts/user'
import { createTestClient, eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { startTestStack } from '../src/stack.ts'
const say = (x: string) => appendFileSync('/tmp/g8-kills.txt', x + '\n')

test('kills in the middle of logins', { timeout: 280_000 }, async (t) => {
  const stack = await startTestStack({ apart: ['user', 'gateway'] })
  t.after(() => stack.close())
  let api = createTestClient({ baseUrl: stack.gatewayUrl, timeout: 15_000 })
  const renew = async () => { await api.close().catch(() => {}); api = createTestClient({ baseUrl: stack.gatewayUrl, timeout: 15_000 }) }
  t.after(() => api.close())
  const up = () => eventually(async () => (await api.envelope(accounts.login, { telephone: '13011111111', password: 'x' }).catch(() => ({ resultCode: 0 }))).resultCode >= 1040000, 30_000)
  const tryIt = async <T>(work: () => Promise<T>): Promise<T | undefined> => { try { return await work() } catch { return undefined } }
  const codeOf = async (token: string) => (await api.envelope(profiles.getUser, {}, { token })).resultCode
  let phone = 13_800_000_000
  const until = Date.now() + 240_000
  let round = 0
  const faults: string[] = []
  const stats = { reg: 0, regAck: 0, regHalfOk: 0, login: 0, loginAck: 0, out: 0, outAck: 0, pw: 0, pwAck: 0, pwUnackDone: 0 }
  await up()
  while (Date.now() < until && round < 10) {
    round++
    const victim = round % 3 === 0 ? 'gateway' : 'user'
    // prepared people
    const mk = async () => { const telephone = String(++phone); const r = await api.call(accounts.register, { telephone, password: 'old', nickname: 'n' }); return { telephone, token: r.access_token, userId: r.userId } }
    const people = await Promise.all(Array.from({ length: 24 }, mk))
    const outs = people.slice(0, 8), logins = people.slice(8, 16), pws = people.slice(16)
    const second = await Promise.all(pws.map((p) => api.call(accounts.login, { telephone: p.telephone, password: 'old', deviceKey: 'pc' })))
    const regs = Array.from({ length: 8 }, () => String(++phone))
    await Promise.all(people.map((p) => codeOf(p.token)))
    const jitter = () => delay(Math.random() * 1500)
    const work = Promise.all([
      Promise.all(regs.map(async (telephone) => { await jitter(); return tryIt(() => api.call(accounts.register, { telephone, password: 'old', nickname: 'n' })) })),
      Promise.all(logins.map(async (p) => { await jitter(); return tryIt(() => api.call(accounts.login, { telephone: p.telephone, password: 'old', deviceKey: 'web' })) })),
      Promise.all(outs.map(async (p) => { await jitter(); return tryIt(async () => { await api.call(accounts.logout, {}, { token: p.token }); return true }) })),
      Promise.all(pws.map(async (p) => { await jitter(); return tryIt(async () => { await api.call(passwords.updatePassword, { oldPassword: 'old', newPassword: 'new' }, { token: p.token }); return true }) })),
    ])
    await delay(500 + Math.random() * 1000)
    await stack.kill(victim)
    const [r, l, o, w] = await work
    await stack.restart(victim)
    await renew()
    await up()
    for (const [n, telephone] of regs.entries()) {
      stats.reg++
      const got = r[n]
      const login = await api.envelope(accounts.login, { telephone, password: 'old', deviceKey: 'android' })
      if (got) {
        stats.regAck++
        if (login.resultCode !== 1) faults.push(`round ${round} ${victim}: registered and acknowledged, login ${login.resultCode}`)
        else if ((login.data as any).userId !== got.userId) faults.push('other user id')
      } else {
        const again = await api.envelope(accounts.register, { telephone, password: 'old', nickname: 'n' })
        if (login.resultCode === 1) { stats.regHalfOk++; if (again.resultCode !== 1040107) faults.push(`unack reg exists but again ${again.resultCode}`) } else if (again.resultCode !== 1) faults.push(`round ${round}: not registered (login ${login.resultCode}) and can't: ${again.resultCode}`)
      }
    }
    for (const [n, p] of logins.entries()) {
      stats.login++
      const got = l[n]
      if (got) { stats.loginAck++; const c = await codeOf(got.access_token); if (c !== 1) faults.push(`round ${round} ${victim}: login acknowledged, token ${c}`) }
      if ((await codeOf(p.token)) !== 1) faults.push(`round ${round}: other session died`)
    }
    for (const [n, p] of outs.entries()) {
      stats.out++
      const c = await codeOf(p.token)
      if (o[n]) { stats.outAck++; if (c !== 1030102) faults.push(`round ${round} ${victim}: logout acknowledged, token ${c}`) }
      else if (c !== 1 && c !== 1030102) faults.push(`logout unack ${c}`)
    }
    for (const [n, p] of pws.entries()) {
      stats.pw++
      const byOld = await api.envelope(accounts.login, { telephone: p.telephone, password: 'old', deviceKey: 'mac' })
      const byNew = await api.envelope(accounts.login, { telephone: p.telephone, password: 'new', deviceKey: 'mac' })
      if ((byOld.resultCode === 1) === (byNew.resultCode === 1)) faults.push(`round ${round}: both or none ${byOld.resultCode} ${byNew.resultCode}`)
      const changed = byNew.resultCode === 1
      if (w[n]) { stats.pwAck++; if (!changed) faults.push(`round ${round} ${victim}: acknowledged password change lost`) } else if (changed) stats.pwUnackDone++
      if (changed) {
        const first = [await codeOf(p.token), await codeOf(second[n]!.access_token)]
        if (first.some((c) => c === 1)) {
          const s = Date.now()
          const dead = await eventually(async () => (await codeOf(p.token)) !== 1 && (await codeOf(second[n]!.access_token)) !== 1, 20_000).catch(() => false)
          ;(dead && !w[n] ? say : (x: string) => faults.push(x))(`round ${round} ${victim} ack ${w[n]}: old sessions lived on after password change ${first} dead ${!!dead} after ${Date.now() - s} ms`)
        }
      }
    }
    say(`round ${round} ${victim} ${JSON.stringify(stats)} faults ${faults.length}`)
  }
  say(faults.join('\n'))
  t.strictSame(faults, [])
})
