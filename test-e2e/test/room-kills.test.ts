/** Room chat over two XMPP servers and two replicas of the message service, while some of these are killed. */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { archive } from '@im/contracts/message'
import { rooms } from '@im/contracts/room'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { Phone } from '../src/phone.ts'

const textsIn = (phone: Phone, jid: string) =>
  phone.received
    .filter(({ from, type }) => type === 1 && from.startsWith(phone.roomAddress(jid)))
    .map(({ content }) => content)

test('a room on two XMPP servers loses nothing when a replica and a server are killed', async (t) => {
  const { stack, people } = await startJourney(t, { xmppServers: 2, replicas: { message: 2 } })
  const servers = (stack.env['XMPP_PORTS'] ?? '').split(',').map((port) => ({ service: `xmpp://127.0.0.1:${port}` }))
  const [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map((name) => people.register(name)))
  if (!alice || !bob || !carol) throw new Error('nobody')
  const jid = randomBytes(16).toString('hex')
  await alice.call(rooms.addRoom, {
    room: JSON.stringify({ jid, name: 'kills' }),
    text: `${bob.userId},${carol.userId}`,
  })
  const phone = await alice.phone('android', servers[0])
  const bobs = await bob.phone('android', servers[1])
  const tablet = await carol.phone('android', servers[0])
  for (const one of [phone, bobs, tablet]) await one.join(jid)

  const sent: string[] = []
  const say = async (count: number) => {
    for (let n = 0; n < count; n++) {
      sent.push(await phone.tellRoom(jid, String(sent.length)))
      await delay(20)
    }
  }
  const numbers = (...phones: Phone[]) => new Set(phones.flatMap((one) => textsIn(one, jid)))
  const all = () => sent.map((_, n) => String(n))
  const missing = (...phones: Phone[]) => all().filter((text) => !numbers(...phones).has(text))

  await say(50)
  await stack.kill('message-2' as never)
  await say(100)
  await eventually(() => missing(bobs).length === 0 && missing(tablet).length === 0, 30_000).catch(() => {})
  t.strictSame([missing(bobs), missing(tablet)], [[], []], 'nobody had to join again')
  await stack.restart('message-2' as never)

  await stack.kill('prosody-2' as never)
  await say(50)
  await stack.restart('prosody-2' as never)
  const back = await eventually(() => bob.phone('android', servers[1]).catch(() => undefined), 30_000)
  await back.join(jid, { seconds: '3600' })
  await say(50)
  await eventually(() => sent.every((id) => phone.receipts.has(id)), 30_000)
  await eventually(() => missing(back, bobs).length === 0 && missing(tablet).length === 0, 30_000)
  t.strictSame([missing(back, bobs), missing(tablet), missing(phone)], [[], [], []])
  const live = textsIn(tablet, jid).filter((text, n, texts) => texts.indexOf(text) === n)
  t.strictSame(live, all(), 'in order')
  const stored = await carol.call(archive.listRoomHistory, { roomId: jid, pageSize: 1000, maxType: 100 })
  t.equal(stored.length, sent.length, 'each stored once')
})
