import tap, { type Test, test } from 'tap'
import { startApns } from './apns-server.ts'
import { startBaidu } from './baidu-server.ts'
import { startFcm } from './fcm-server.ts'
import { startHonor } from './honor-server.ts'
import { startHuawei } from './huawei-server.ts'
import { startJPush } from './jpush-server.ts'
import { startMeizu } from './meizu-server.ts'
import { startOppo } from './oppo-server.ts'
import { startChannels, target } from './start-channels.ts'
import type { Vendor } from './vendor.ts'
import { startVivo } from './vivo-server.ts'
import { startWebPush } from './webpush-server.ts'
import { startXiaomi } from './xiaomi-server.ts'

/** What holds for every provider, against a server that refuses what the real one refuses. */
const vendors: Record<string, (t: Test) => Promise<Vendor>> = {
  apns: startApns,
  apns_voip: (t) => startApns(t, { isVoip: true }),
  fcm: startFcm,
  'huawei v1': (t) => startHuawei(t, 'v1'),
  'huawei v2': (t) => startHuawei(t, 'v2'),
  'huawei v3': (t) => startHuawei(t, 'v3'),
  honor: startHonor,
  xiaomi: startXiaomi,
  oppo: startOppo,
  vivo: startVivo,
  meizu: startMeizu,
  'baidu on Android': startBaidu,
  'baidu on iOS': (t) => startBaidu(t, 'ios'),
  'jpush on Android': startJPush,
  'jpush on iOS': (t) => startJPush(t, 'ios'),
  webpush: startWebPush,
}

// They wait most of the time.
tap.jobs = 8

for (const [name, start] of Object.entries(vendors)) {
  test(name, { buffered: true }, async (t) => {
    t.test('shows title, text, badge and data as they are', async (t) => {
      const vendor = await start(t)
      const { send } = await startChannels(t, vendor.env)
      const to = target(vendor.token(1), { device: vendor.device })
      t.match(await send(vendor.provider, [to]), [{ kind: 'accepted' }])
      t.strictSame(vendor.problems, [])
      const [shown] = vendor.shown
      t.equal(shown?.token, to.token)
      t.equal(shown?.title, '李雷')
      t.equal(shown?.body, '李雷:今天 5pm 见*~\'()! 👍 a&b=c+d%20"')
      if (shown?.badge !== undefined) t.equal(shown.badge, 3)
      t.match(shown?.data, { to: '10000002', messageType: '1', fromUserName: '李雷 & 👍' })
    })

    t.test('cuts what is too long and sends it', async (t) => {
      const vendor = await start(t)
      const { send } = await startChannels(t, vendor.env)
      const to = [target(vendor.token(1), { device: vendor.device })]
      for (const text of ['好'.repeat(3000), '👍'.repeat(3000), 'a"\n'.repeat(3000)])
        t.match(await send(vendor.provider, to, { title: text, body: text }), [{ kind: 'accepted' }])
      t.strictSame(vendor.problems, [])
      for (const { title, body } of vendor.shown) {
        t.ok(title.length && body.length)
        t.ok(title.isWellFormed() && body.isWellFormed(), 'no surrogate pair is cut')
      }
    })

    t.test('tries three times where nothing is known, and doubles nothing that was taken', async (t) => {
      const vendor = await start(t)
      // Long enough for a connection while all the others begin, too.
      const env = { ...vendor.env, PUSH_TIMEOUT_MS: '3000' }
      const { send } = await startChannels(t, env, { limits: { concurrency: 1 } })
      const to = [target(vendor.token(1), { device: vendor.device })]
      t.match(await send(vendor.provider, to), [{ kind: 'accepted' }])
      const pages = vendor.isNamedByUsers ? [] : (['html'] as const)
      for (const trouble of ['cuts', '500', 'hangs', ...pages] as const) {
        vendor.troubles.push(trouble)
        const before = vendor.shown.length
        t.match(await send(vendor.provider, to), [{ kind: 'accepted' }], trouble)
        t.equal(vendor.shown.length, before + 1)
      }
      vendor.troubles.push('500', 'cuts', '500')
      t.match(await send(vendor.provider, to), [{ kind: 'retry' }])
      // A server that users name is tried once more after its first failure, and then counts as one that may never answer.
      t.strictSame(vendor.troubles, vendor.isNamedByUsers ? ['500'] : [])
    })

    t.test('waits as long as the provider asks', async (t) => {
      const vendor = await start(t)
      const { send } = await startChannels(t, vendor.env)
      const to = [target(vendor.token(1), { device: vendor.device })]
      await send(vendor.provider, to)
      for (const trouble of ['429', '503'] as const) {
        if (vendor.isNamedByUsers && trouble === '429') continue
        vendor.troubles.push(trouble)
        const began = Date.now()
        t.match(await send(vendor.provider, to), [{ kind: 'accepted' }])
        t.ok(Date.now() - began > 900, `${Date.now() - began} ms after ${trouble}`)
      }
    })

    t.test('tells which tokens are dead', async (t) => {
      const vendor = await start(t)
      const { send } = await startChannels(t, vendor.env)
      const targets = [1, 2, 3].map((number) => target(vendor.token(number), { device: vendor.device }))
      vendor.answers.set(vendor.token(2), vendor.deadCode)
      const whichIsDead = vendor.provider === 'jpush' ? 'accepted' : 'dead'
      t.match(await send(vendor.provider, targets), [{ kind: 'accepted' }, { kind: whichIsDead }, { kind: 'accepted' }])
      t.strictSame(
        vendor.shown.map(({ token }) => token),
        [vendor.token(1), vendor.token(3)],
      )
      t.match(await send(vendor.provider, [targets[1] as never]), [{ kind: 'dead' }])
      t.strictSame(vendor.problems, [])
    })

    t.test('stops at wrong credentials and says so once, without the secret', async (t) => {
      const vendor = await start(t)
      if (vendor.isNamedByUsers) return t.pass('one server says nothing about the others')
      const { send, lines, metric } = await startChannels(t, vendor.wrongEnv, { limits: { circuitMs: 60_000 } })
      const refused = async (number: number) =>
        t.match(await send(vendor.provider, [target(vendor.token(number), { device: vendor.device })]), [
          { kind: 'credentials' },
        ])
      for (let number = 1; number <= 5; number++) await refused(number)
      const calls = vendor.calls.send + vendor.calls.access
      for (let number = 1; number <= 5; number++) await refused(number)
      t.equal(vendor.calls.send + vendor.calls.access, calls, 'nothing is asked any more')
      t.equal(lines.filter(({ level }) => level === 'error').length, 1)
      t.match(await metric('im_push_circuit_open'), new RegExp(`provider="${vendor.provider}"[^\\n]*} 1`))
      const logged = JSON.stringify(lines)
      for (const [name, value] of Object.entries(vendor.wrongEnv))
        if (/SECRET|KEY|ACCOUNT/.test(name)) t.notOk(logged.includes(value), name)
      t.notOk(logged.includes(vendor.token(1)))
      return undefined
    })

    t.test('asks for one access token, and for another when it is refused', async (t) => {
      const vendor = await start(t)
      const { expireAccess } = vendor
      if (!expireAccess) return t.pass('it has none')
      const first = await startChannels(t, vendor.env)
      const second = await startChannels(t, vendor.env, { namespace: first.namespace })
      const targets = Array.from({ length: 20 }, (_, number) => target(vendor.token(number), { device: vendor.device }))
      const sendAll = async () => {
        const calls = [first, second].flatMap(({ send }) => targets.map((to) => send(vendor.provider, [to])))
        const kinds = (await Promise.all(calls)).flat().map(({ kind }) => kind)
        t.strictSame(new Set(kinds), new Set(['accepted']))
      }
      await sendAll()
      t.equal(vendor.calls.access, 1, 'one for both replicas')
      expireAccess()
      await sendAll()
      t.equal(vendor.calls.access, 2)
      t.strictSame(vendor.problems, [])
      return undefined
    })

    t.end()
  })
}
