/** A user with three devices that come and go on two servers of two replicas. */
import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { startTwo } from './start-two.ts'
import type { ClientStream, XmppServer } from './xmpp-server.ts'

const resources = ['android', 'ios', 'pc']

const step = fc.record({
  what: fc.constantFrom(
    'say',
    'say',
    'say',
    'move',
    'move',
    'sleep',
    'wake',
    'slow',
    'crash',
    'cut',
    'nothing',
    'forget',
  ),
  device: fc.nat(2),
  count: fc.integer({ min: 1, max: 6 }),
  server: fc.nat(1),
  pause: fc.constantFrom(0, 0, 1, 20, 200),
})

/** What its client is known to have. */
const confirmedBy = ({ received, confirmed }: ClientStream) =>
  received.flatMap(({ number, stanza }) =>
    number !== undefined && number <= confirmed && stanza.getChild('body') ? (stanza.attrs['id'] ?? '') : [],
  )

test('each device gets all, whatever it or its servers do meanwhile, and nothing stays in the mailbox', async (t) => {
  const { replicas, first, left, right } = await startTwo(t)
  const servers = [left, right] as const
  let user = 10000001
  let since = Date.now()
  await t.resolves(
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), (steps) => run(steps)),
      {
        seed: Number(process.env['MOVES_SEED'] ?? -815850836),
        numRuns: Number(process.env['MOVES_RUNS'] ?? 8),
        endOnFailure: true,
      },
    ),
  )

  async function run(steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]): Promise<void> {
    const [alice, bob] = [user++, user++]
    const serverAt = (index: number): XmppServer => servers[index]!
    await eventually(() => servers.every(({ connected }) => connected))
    const devices = resources.map((resource, index) => ({
      resource,
      server: index % 2,
      streams: [] as ClientStream[],
    }))
    type Device = (typeof devices)[number]
    const connect = ({ resource, server, streams }: Device) => {
      since = Math.max(since + 1, Date.now())
      streams.push(serverAt(server).connect(bob, { resource, since }))
    }
    const now = ({ streams }: Device) => streams.at(-1)!
    const isThere = (device: Device) => serverAt(device.server).streams.has(now(device).id)
    for (const device of devices) connect(device)
    const senders = servers.map((server, n) => server.connect(alice, { resource: `s${n}` }))
    await eventually(async () => {
      const at = (await first.deps.presences.of([bob])).get(bob)?.at ?? []
      return at.flatMap((place) => place.resources).length === resources.length
    })

    const sent: string[] = []
    for (const { what, device: index, count, server, pause } of steps) {
      const device = devices[index]!
      const stream = now(device)
      if (what === 'say')
        for (let n = 0; n < count; n++) {
          const id = `${bob}-${sent.length}`
          sent.push(id)
          senders[server]!.say({ to: bob, id, body: { messageId: id } })
        }
      if (what === 'move') {
        device.server = 1 - device.server
        connect(device)
      }
      if (what === 'sleep' && !stream.waiting) stream.sleep()
      if (what === 'wake' && stream.waiting && isThere(device)) stream.wake()
      if (what === 'slow') stream.state.confirming = false
      if (what === 'cut') serverAt(server).cut()
      if (what === 'forget') replicas[server]!.deps.streams.removeFarWhere(() => true)
      if (what === 'crash') {
        serverAt(server).crash()
        await eventually(() => serverAt(server).connected)
        senders[server] = serverAt(server).connect(alice, { resource: `s${server}` })
        for (const lost of devices.filter((one) => one.server === server)) connect(lost)
      }
      await delay(pause)
    }

    await Promise.all(servers.map((server) => server.drained(30_000)))
    // Each device logs in once more.
    for (const device of devices) {
      if (isThere(device)) now(device).end()
      connect(device)
    }
    for (const { resource, streams } of devices) {
      const missing = () => sent.filter((id) => !streams.some((stream) => confirmedBy(stream).includes(id)))
      await eventually(() => !missing().length, 15_000).catch(() => {
        throw new Error(`${resource} misses ${missing().join()}`)
      })
    }
    const waiting = () => first.deps.mailbox.collection.find({ user: bob }).project({ _id: 1, owes: 1 }).toArray()
    await eventually(async () => !(await waiting()).length, 20_000).catch(async () => {
      throw new Error(`left: ${JSON.stringify(await waiting())}`)
    })
    for (const device of devices) now(device).end()
    for (const sender of senders) sender.end()
  }
})
