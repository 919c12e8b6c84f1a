/** A client that others wrote, on its own plugins: what the standards promise holds for it, too (deploy/xmpp/README.md). */
import { randomBytes } from 'node:crypto'
import { rooms } from '@im/contracts/room'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import { startSlixmpp, type Told } from '../src/slixmpp.ts'

const contentOf = ({ body }: Told): string => JSON.parse(body ?? '{}').content
const heard = (told: Told[]) => told.filter(({ event }) => event === 'message').map(contentOf)

test('slixmpp', async (t) => {
  const { stack, people } = await startJourney(t)
  const [alice, bob] = [await people.register('alice'), await people.register('bob')]
  const phone = await alice.phone()
  const own = await bob.phone()
  t.teardown(() => Promise.all([phone.hangUp(), own.hangUp()]))
  const device = await startSlixmpp(t, stack, bob, 'pc')
  const addressOf = ({ userId }: { userId: number }) => `${userId}@${stack.xmppDomain}`

  t.test('learns what the server is and does (XEP-0030, 0092, 0199)', async (t) => {
    device.order({ do: 'ask', to: stack.xmppDomain })
    const { features, software } = await device.tells(({ event }) => event === 'told' || event === 'failed')
    t.ok(features?.includes('urn:xmpp:carbons:2') && features.includes('urn:xmpp:ping'), String(features))
    t.type(software, 'string')
  })

  t.test('chats: receipts of the server and of the other (XEP-0184), acknowledgements (XEP-0198)', async (t) => {
    const id = device.say(addressOf(alice), '你好')
    await device.tells(({ event, id: of, sender }) => event === 'receipt' && of === id && sender === addressOf(alice))
    // The library asks before it sends the next.
    device.say(addressOf(alice), '再见')
    await device.tells(({ event, id: of }) => event === 'acked' && of === id)
    t.match(await phone.hears(({ content }) => content === '你好'), { id })
    const { messageId } = await phone.say(bob.userId, 'hello')
    await device.tells((told) => told.event === 'message' && told.id === messageId)
    await eventually(() => phone.receipts.has(messageId))
  })

  t.test('sees what its user says and hears on another device, each once', async (t) => {
    const { messageId } = await own.say(alice.userId, 'from my phone')
    await device.tells(({ event, id }) => event.startsWith('carbon') && id === messageId)
    const { messageId: other } = await phone.say(bob.userId, 'to both')
    await device.tells(({ id }) => id === other)
    await own.hears(({ id }) => id === other)
    for (const id of [messageId, other])
      t.equal(device.told.filter((told) => told.id === id && told.body !== undefined).length, 1)
  })

  t.test('is told why something is refused', async (t) => {
    const from = device.told.length
    device.order({ do: 'send', to: addressOf(alice), id: 'plain', body: 'not JSON' })
    const refusal = await device.tells(({ event, id }) => event === 'refused' && id === 'plain', from)
    t.equal(refusal.condition, 'bad-request')
  })

  t.test('loses its connection and goes on: nothing is missing, nothing comes twice', async (t) => {
    const from = device.told.length
    const said = Array.from({ length: 20 }, (_, n) => `while away ${n}`)
    device.order({ do: 'drop' })
    for (const content of said) await phone.say(bob.userId, content)
    await device.tells(({ event }) => event === 'resumed' || event === 'started', from)
    await device.tells((told) => told.body !== undefined && contentOf(told) === said.at(-1), from)
    t.strictSame(
      heard(device.told).filter((content) => content.startsWith('while away')),
      said,
    )
    const id = device.say(addressOf(alice), 'back again')
    await device.tells(({ event, id: of }) => event === 'receipt' && of === id)
  })

  t.test('talks in rooms (XEP-0045)', async (t) => {
    const jid = randomBytes(16).toString('hex')
    const room = `${jid}@muc.${stack.xmppDomain}`
    const nick = String(bob.userId)
    await phone.join(jid)
    const join = async (history = '0') => {
      const from = device.told.length
      device.order({ do: 'join', room, nick, history })
      return await device.tells(
        ({ event, sender, condition }) => event === 'presence' && (condition || sender === `${room}/${nick}`) !== false,
        from,
      )
    }
    t.match(await join(), { type: 'error' }, 'not before the room has members')
    await alice.call(rooms.addRoom, { jid, name: 'standards', text: `[${bob.userId}]` } as never)
    const { type, codes } = await join()
    t.ok(type === 'available' && codes?.includes(110), `${type} ${codes}`)
    const id = device.say(room, 'hi all', { type: 'groupchat' })
    t.match(await phone.hears(({ content }) => content === 'hi all'), { id })
    const echo = await device.tells((told) => told.event === 'message' && told.id === id)
    t.equal(echo.sender, `${room}/${nick}`)
    const answer = await phone.sayIn(jid, 'hi bob')
    await device.tells((told) => told.event === 'message' && told.id === answer)

    device.order({ do: 'leave', room, nick })
    await device.tells(
      ({ event, type, sender }) => event === 'presence' && type === 'unavailable' && sender === `${room}/${nick}`,
    )
    await phone.sayIn(jid, 'while bob is out')
    const from = device.told.length
    await join('1')
    const history = await device.tells(
      (told) => told.event === 'message' && told.sender?.startsWith(room) === true,
      from,
    )
    t.match([contentOf(history), history.delayed], ['while bob is out', true])
  })
})
