import fc from 'fast-check'
import { test } from 'tap'
import { type ArchiveEntry, archiveBatch } from '../src/archive/archive-batch.ts'
import { Resenders } from '../src/archive/copy-order.ts'
import type { Deps } from '../src/deps.ts'
import { newestFirst } from '../src/messages/message-document.ts'
import { createLog, startArchive } from './start-archive.ts'

/** What happens next; `which` names a device, a log or a replica, `by` how many or how long. */
const step = fc.record({
  what: fc.constantFrom(
    ...([
      'send',
      'send',
      'send',
      'move',
      'stop',
      'continue',
      'archive',
      'archive',
      'both',
      'replace',
      'clear',
    ] as const),
  ),
  which: fc.nat({ max: 1 }),
  by: fc.integer({ min: 1, max: 6 }),
})

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** A server that stood still dates copies later than the other one dates what was sent after them; the desk wrote in between. */
const overtaken = [
  { what: 'send', which: 0, by: 2 },
  { what: 'send', which: 1, by: 1 },
  { what: 'stop', which: 1, by: 1 },
  { what: 'move', which: 0, by: 1 },
  { what: 'move', which: 1, by: 1 },
  { what: 'move', which: 0, by: 1 },
  { what: 'send', which: 0, by: 2 },
  { what: 'continue', which: 1, by: 1 },
  { what: 'archive', which: 1, by: 6 },
] satisfies Step[]

/** A batch that begins with a late message ends among several of one time. */
const parted = [
  { what: 'send', which: 0, by: 6 },
  { what: 'move', which: 1, by: 4 },
  { what: 'send', which: 0, by: 6 },
  { what: 'archive', which: 0, by: 5 },
  { what: 'move', which: 1, by: 6 },
  { what: 'move', which: 1, by: 6 },
  { what: 'move', which: 1, by: 6 },
  { what: 'archive', which: 0, by: 6 },
  { what: 'archive', which: 0, by: 1 },
] satisfies Step[]

/** One device of the sender: its phone counts in seconds, its desk more finely. */
interface Device {
  sent: string[]
  unconfirmed: { id: string; timeSend: number }[]
  log: number
}

/** One server: what its clients have written, and what stands in its log. */
interface Server {
  isStopped: boolean
  unread: { id: string; timeSend: number }[]
  entries: ArchiveEntry[]
  /** Entries that the replica has archived, and those that the next one need not see. */
  taken: number
  released: number
}

test('messages of a device keep their order, whichever servers and replicas their copies come by', async (t) => {
  const im = await startArchive(t)
  const { messages } = im.deps

  async function run(steps: readonly Step[]): Promise<void> {
    const [alice, bob] = im.pair()
    let clock = 1000 * Math.floor(Date.now() / 1000) - 60_000
    const logs = [createLog(im.deps), createLog(im.deps)]
    const servers = logs.map((): Server => ({ isStopped: false, unread: [], entries: [], taken: 0, released: 0 }))
    const devices = [0, 1].map((): Device => ({ sent: [], unconfirmed: [], log: 0 }))
    const replica = (): Deps => ({ ...im.deps, now: () => clock, resenders: new Resenders() })
    const replicas = [replica(), replica()]

    /** A server that stood still dates what it finds by its own clock. */
    const read = (which: number) => {
      const server = servers[which]!
      if (server.isStopped) return
      for (const said of server.unread.splice(0))
        server.entries.push(logs[which]!.entry(alice, bob, { ...said, ts: clock }))
    }
    const write = ({ log }: Device, said: { id: string; timeSend: number }) => {
      servers[log]!.unread.push(said)
      read(log)
    }
    const archive = async (which: number, count: number) => {
      const server = servers[which]!
      const batch = server.entries.slice(server.taken, server.taken + count)
      if (!batch.length) return
      await archiveBatch(replicas[which]!, batch)
      server.taken += batch.length
      const confirmed = new Set(batch.map(({ store }) => store!.messageId))
      for (const device of devices)
        if (device.log === which) device.unconfirmed = device.unconfirmed.filter(({ id }) => !confirmed.has(id))
    }

    for (const { what, which, by } of steps) {
      clock += by * 30
      const device = devices[which]!
      const server = servers[which]!
      if (what === 'send')
        for (let n = 0; n < by; n++) {
          const said = {
            id: `${alice} ${which} ${device.sent.length}`,
            timeSend: which === 0 ? Math.floor(clock / 1000) : clock / 1000,
          }
          device.sent.push(said.id)
          device.unconfirmed.push(said)
          write(device, said)
        }
      if (what === 'move') {
        device.log = 1 - device.log
        for (const said of device.unconfirmed) write(device, said)
      }
      if (what === 'stop') server.isStopped = true
      if (what === 'continue') {
        server.isStopped = false
        read(which)
      }
      if (what === 'archive') await archive(which, by)
      if (what === 'both') await Promise.all([archive(0, by), archive(1, by)])
      if (what === 'replace') {
        clock += 2000
        replicas[which] = replica()
        server.released += Math.floor((server.taken - server.released) / 2)
        server.taken = server.released
      }
      if (what === 'clear') await im.clear(bob, alice)
    }
    for (const which of [0, 1]) {
      servers[which]!.isStopped = false
      read(which)
    }
    while (servers.some(({ taken, entries }) => taken < entries.length))
      await Promise.all([archive(0, 4), archive(1, 4)])

    const rows = await messages.collection.find({ from: alice }).sort(newestFirst).toArray()
    const stored = rows.reverse().map(({ messageId }) => messageId)
    for (const [which, { sent }] of devices.entries()) {
      const own = stored.filter((id) => id.startsWith(`${alice} ${which} `))
      if (own.join() !== sent.join()) throw new Error(`order: ${own.join()}`)
    }
  }

  await t.resolves(
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => run(steps)),
      { numRuns: 25, examples: [[overtaken], [parted]], endOnFailure: true },
    ),
  )
})
