import { archive } from '@im/contracts/message'
import { badges, pushTokens } from '@im/contracts/push'
import { roomMembers, rooms } from '@im/contracts/room'
import { follows, friends } from '@im/contracts/social'
import { profiles } from '@im/contracts/user'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { Client } from '../../deploy/xmpp/test/client.ts'
import type { Prosody } from '../../deploy/xmpp/test/prosody.ts'
import { type ApnsServer, startApns, topic } from '../../services/push/test/providers/apns-server.ts'
import { startBaidu } from '../../services/push/test/providers/baidu-server.ts'
import { startFcm } from '../../services/push/test/providers/fcm-server.ts'
import { startHonor } from '../../services/push/test/providers/honor-server.ts'
import { startHuawei } from '../../services/push/test/providers/huawei-server.ts'
import { startJPush } from '../../services/push/test/providers/jpush-server.ts'
import { startMeizu } from '../../services/push/test/providers/meizu-server.ts'
import { startOppo } from '../../services/push/test/providers/oppo-server.ts'
import type { Vendor } from '../../services/push/test/providers/vendor.ts'
import { startVivo } from '../../services/push/test/providers/vivo-server.ts'
import { startWebPush } from '../../services/push/test/providers/webpush-server.ts'
import { startXiaomi } from '../../services/push/test/providers/xiaomi-server.ts'
import { startJourney } from '../src/journey.ts'
import type { Person } from '../src/people.ts'

/** A loaded machine needs its time for the way of a message through all services. */
const soon = 30_000

/** How an app registers its token with each provider. */
const register: Record<string, (who: Person, token: string) => Promise<unknown>> = {
  fcm: (who, token) => who.call(pushTokens.registerFcm, { token }),
  huawei: (who, token) => who.call(pushTokens.registerHuawei, { token }),
  honor: (who, token) => who.call(pushTokens.registerHonor, { token }),
  xiaomi: (who, regId) => who.call(pushTokens.registerXiaomi, { regId }),
  oppo: (who, pushId) => who.call(pushTokens.registerOppo, { pushId }),
  vivo: (who, pushId) => who.call(pushTokens.registerVivo, { pushId }),
  meizu: (who, pushId) => who.call(pushTokens.registerMeizu, { pushId }),
  baidu: (who, channelId) => who.call(pushTokens.registerBaidu, { channelId, device: 4 }),
  jpush: (who, regId) => who.call(pushTokens.registerJPushAndroid, { regId }),
  webpush: (who, token) => {
    const { endpoint, keys } = JSON.parse(token) as { endpoint: string; keys: { p256dh: string; auth: string } }
    return who.call(pushTokens.registerWebPush, { endpoint, ...keys })
  },
}

async function startVendors(t: Test): Promise<{ apns: ApnsServer; others: Vendor[]; env: Record<string, string> }> {
  const apns = await startApns(t)
  const others = await Promise.all([
    ...[startFcm(t), startHuawei(t, 'v2'), startHonor(t), startXiaomi(t), startOppo(t), startVivo(t), startMeizu(t)],
    ...[startBaidu(t), startJPush(t), startWebPush(t)],
  ])
  const env = Object.assign({}, ...others.map((vendor) => vendor.env), apns.env) as Record<string, string>
  const authorities = [apns, ...others].flatMap(({ env }) => env['PUSH_CA'] ?? [])
  return { apns, others, env: { ...env, PUSH_CA: authorities.join('\n') } }
}

test('pushes', async (t) => {
  const vendors = await startVendors(t)
  // Web Push has no address of its own: browsers name it.
  const served = vendors.others.map((vendor) => vendor.token(0))
  const { people, stack } = await startJourney(t, { env: { ...vendors.env, XMPP_RESUME_SECONDS: '1' }, served })
  let devices = 0
  const iphone = async (who: Person) => {
    const token = vendors.apns.token(++devices)
    await who.call(pushTokens.registerApns, { token, isVoip: 0, appId: topic })
    return { token, shown: () => vendors.apns.shown.filter((one) => one.token === token) }
  }

  t.test('an offline iPhone shows a message under the name its owner knows, and a recall in its place', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    await alice.call(follows.follow, { toUserId: bob.userId })
    const device = await iphone(bob)
    await bob.call(badges.setBadge, { num: 2 })
    const phone = await alice.phone()
    const { messageId } = await phone.say(bob.userId, '晚上好')
    await eventually(() => device.shown().length === 1, soon)
    const [shown] = device.shown()
    t.match(shown, { title: 'alice', body: 'alice:晚上好', badge: 3, data: { messageId, from: String(alice.userId) } })
    t.match(shown?.more['collapseId'], /^[0-9a-f]{32}$/)
    t.match(await bob.call(profiles.getUser), { msgNum: 3 })

    await bob.call(friends.remarkFriend, { toUserId: alice.userId, remarkName: '阿丽' })
    await bob.call(badges.setBadge, { num: 0 })
    await eventually(async () => {
      await phone.say(bob.userId, 'again')
      return device.shown().some(({ title }) => title === '阿丽')
    }, soon)

    await alice.call(archive.deleteMessages, { messageId: [messageId], type: 1, delete: 2 } as never)
    await phone.say(bob.userId, messageId, { type: 202 })
    const replaced = await eventually(() => device.shown().find(({ body }) => body.includes('撤回了一条消息')), soon)
    t.equal(replaced.more['collapseId'], shown?.more['collapseId'], 'it takes the place of the message')
    t.same(vendors.apns.problems, [])
    await phone.hangUp()
  })

  t.test('every other provider shows the same', async (t) => {
    const alice = await people.register('alice')
    const phone = await alice.phone()
    await Promise.all(
      vendors.others.map(async (vendor) => {
        const reader = await people.register(vendor.provider)
        const token = vendor.token(900)
        await register[vendor.provider]!(reader, token)
        await phone.say(reader.userId, `to ${vendor.provider}`)
        const shown = await eventually(() => vendor.shown.find((one) => one.token === token), soon)
        t.match(shown, { title: 'alice', body: `alice:to ${vendor.provider}` }, vendor.provider)
        if (shown.badge !== undefined) t.equal(shown.badge, 1)
        t.same(vendor.problems, [], vendor.provider)
      }),
    )
    await phone.hangUp()
  })

  t.test('who is online, and who silenced a friend or a room, gets none; a mention comes through', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    await alice.call(follows.follow, { toUserId: bob.userId })
    const device = await iphone(bob)
    const [phone, bobs] = [await alice.phone(), await bob.phone('ios')]
    await phone.say(bob.userId, 'you are there')
    await bobs.hears(({ content }) => content === 'you are there')
    await bobs.hangUp()
    await bob.call(friends.switchForFriend, { toUserId: alice.userId, offlineNoPushMsg: 1 })
    const room = await alice.call(rooms.addRoom, { name: '周末', text: `[${bob.userId}]` } as never)
    await phone.join(room.jid)
    await phone.sayIn(room.jid, 'not muted yet')
    await eventually(() => device.shown().some(({ body }) => body === 'alice(周末):not muted yet'), soon)
    await phone.say(bob.userId, 'muted friend')
    await bob.call(roomMembers.setOwnSwitch, { roomId: room.id, offlineNoPushMsg: 1 } as never)
    await phone.sayIn(room.jid, 'perhaps')
    await eventually(async () => {
      await phone.sayIn(room.jid, 'for you', { objectId: String(bob.userId) })
      return device.shown().some(({ body }) => body === 'alice(周末):[有人@我]for you')
    }, soon)
    const shown = device.shown().map(({ body }) => body)
    t.notOk(
      shown.some((body) => body.includes('you are there') || body.includes('muted friend')),
      shown.join(' | '),
    )
    await bob.call(profiles.updateDoNotDisturb, { offlineNoPushMsg: 1 })
    await phone.hangUp()
  })

  t.test('what a lost connection has not acknowledged is shown, in rooms and of calls, too', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    await alice.call(follows.follow, { toUserId: bob.userId })
    const device = await iphone(bob)
    const room = await alice.call(rooms.addRoom, { name: '周末', text: `[${bob.userId}]` } as never)
    const phone = await alice.phone()
    await phone.join(room.jid)
    const { xmppPort: port, xmppDomain: domain } = stack
    const lost = await new Client({ port, domain } as Prosody, String(bob.userId)).login(bob.token)
    await lost.bind('ios')
    await (await lost.manage()).available()
    lost.write(`<presence to='${phone.roomAddress(room.jid, bob.userId)}'/>`)
    const hears = (text: string) => eventually(() => lost.elements.some((one) => String(one).includes(text)), soon)
    await phone.sayIn(room.jid, 'acknowledged')
    await hears('acknowledged')
    lost.ack()
    await lost.sync()
    await phone.sayIn(room.jid, 'lost in the room')
    await phone.say(bob.userId, 'lost in the chat')
    await phone.say(bob.userId, '', { type: 103 })
    await hears('lost in the chat')
    // What comes later is shown: all of this was looked at.
    const carol = await people.register('carol')
    const other = await iphone(carol)
    await phone.say(carol.userId, 'later')
    await eventually(() => other.shown().length === 1, soon)
    t.strictSame(device.shown(), [], 'it seems to be there')
    await lost.vanish()
    await eventually(() => device.shown().length === 3, 90_000)
    t.strictSame(
      device
        .shown()
        .map(({ body }) => body)
        .sort(),
      ['alice(周末):lost in the room', 'alice:lost in the chat', 'alice取消了语音通话'].sort(),
    )
    await phone.hangUp()
  })

  t.test('a dead token disappears; a provider in trouble loses and doubles nothing', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const dead = await iphone(bob)
    vendors.apns.answers.set(dead.token, 'Unregistered')
    const fcm = vendors.others.find(({ provider }) => provider === 'fcm')!
    const token = fcm.token(901)
    await register['fcm']!(bob, token)
    const shown = () => fcm.shown.filter((one) => one.token === token).map(({ body }) => body)
    const phone = await alice.phone()
    // More than one hand-over tries by itself.
    fcm.troubles.push(...(['500', 'cuts', '503', '500', 'cuts', '500', '500'] as const))
    for (const text of ['one', 'two']) await phone.say(bob.userId, text)
    await eventually(() => shown().length >= 2, 60_000)
    t.same(shown().sort(), ['alice:one', 'alice:two'])
    const before = vendors.apns.calls.send
    vendors.apns.answers.delete(dead.token)
    await phone.say(bob.userId, 'three')
    await eventually(() => shown().length === 3, soon)
    t.equal(vendors.apns.calls.send, before, 'the dead token is not tried any more')
    await phone.hangUp()
  })
})
