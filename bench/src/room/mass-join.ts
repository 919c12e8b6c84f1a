import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { rooms } from '@im/contracts/room'
import { createTestClient } from '@im/service-kit/testing'
import type { Db, Document } from 'mongodb'
import { attributeOf, escapeXml } from '../chat/stanza-cutter.ts'
import { type Account, XmppClient } from '../chat/xmpp-client.ts'
import { latencyOf } from '../percentiles.ts'
import { cpuSeconds } from '../process-usage.ts'
import { storedMessage } from '../stored-message.ts'

const loginsAtOnce = 50
const patience = 60_000
/** Milliseconds between two messages of the pair that chats beside the joins. */
const pause = 25
const targets = { seconds: 10, chatP99: 250 }

export interface MassJoin {
  address: Parameters<typeof XmppClient.login>[0]
  gatewayUrl: string
  roomDb: Db
  messageDb: Db
  /** The last two chat; all others join. */
  accounts: readonly Account[]
  roomsPerUser: number
  membersPerRoom: number
  /** Messages in each room, said in the last hours. */
  said: number
  /** Process ids by name: what they use is told. */
  processes: Record<string, number>
}

/** Everybody joins all their rooms at once, as after a restart, while two chat. */
export async function massJoin({ address, gatewayUrl, roomDb, messageDb, said, processes, ...wanted }: MassJoin) {
  const { accounts, roomsPerUser, membersPerRoom } = wanted
  const joining = accounts.slice(0, -2)
  const { jids, all: made } = await makeRooms({ gatewayUrl, roomDb, accounts: joining, roomsPerUser, membersPerRoom })
  await sayBefore(messageDb, made, said, joining[0]!.userId)
  const answered = new Map<XmppClient, Set<string>>()
  const faults: string[] = []
  const refusals: string[] = []
  const took: number[] = []
  let startedAt = 0
  for (let first = 0; first < joining.length; first += loginsAtOnce)
    await Promise.all(
      joining.slice(first, first + loginsAtOnce).map(async (account) => {
        const client = await XmppClient.login(address, account, 'android')
        const rooms = new Set<string>()
        answered.set(client, rooms)
        client.onEnd = (why) => void faults.push(`a stream ended: ${why}`)
        client.onStanza = (stanza) => {
          if (stanza.includes('<subject')) {
            rooms.add(attributeOf(stanza, 'from') ?? '')
            took.push(performance.now() - startedAt)
          } else if (attributeOf(stanza, 'type') === 'error') refusals.push(conditionIn(stanza))
        }
      }),
    )
  const chat = await Chat.begin(address, accounts.slice(-2))
  await delay(5000)
  const before = latencyOf(chat.take())
  const all = joining.length * roomsPerUser
  const count = () => [...answered.values()].reduce((sum, { size }) => sum + size, 0)
  const used = await usageOf({ ...processes, load: process.pid })
  startedAt = performance.now()
  for (const [client] of answered)
    client.send(
      jids(client.account)
        .map(
          (jid) =>
            `<presence to='${jid}@muc.${address.domain}/${client.account.userId}'><x xmlns='http://jabber.org/protocol/muc'><history seconds='86400'/></x></presence>`,
        )
        .join(''),
    )
  while (count() + refusals.length < all && performance.now() - startedAt < patience) await delay(20)
  const seconds = (performance.now() - startedAt) / 1000
  const during = latencyOf(chat.take())
  const cpuMsPerJoin = await used(count())
  const lost = all - count() - refusals.length
  if (lost > 0) faults.push(`${lost} joins had no answer`)
  for (const [condition, { length }] of Map.groupBy(refusals, (condition) => condition))
    faults.push(`${length} joins were refused: ${condition}`)
  faults.push(...chat.end())
  for (const client of answered.keys()) client.close()
  return {
    figures: {
      ...{ users: joining.length, rooms: roomsPerUser, membersPerRoom, said, seconds, cpuMsPerJoin },
      ...{ joins: latencyOf(took), chatBefore: before, chatDuring: during },
    },
    faults,
    targets: [
      [`${all} joins in ${targets.seconds} s`, seconds <= targets.seconds] as const,
      [`p99 of chat ${targets.chatP99} ms meanwhile`, during.p99 <= targets.chatP99] as const,
    ],
  }
}

const conditionIn = (stanza: string) => /<error[^>]*><([a-z-]+)/.exec(stanza)?.[1] ?? 'without a condition'

/** Rooms of neighbours: one is made, its rows are copied. Returns the rooms of an account. */
async function makeRooms(
  options: Pick<MassJoin, 'gatewayUrl' | 'roomDb' | 'accounts' | 'roomsPerUser' | 'membersPerRoom'>,
): Promise<{ jids: (account: Account) => string[]; all: string[] }> {
  const { gatewayUrl, roomDb, accounts, roomsPerUser, membersPerRoom } = options
  const api = createTestClient({ baseUrl: gatewayUrl, token: accounts[0]!.password, timeout: 20_000 })
  const { id } = await api.call(rooms.addRoom, {})
  await api.close()
  const [roomRows, memberRows] = [roomDb.collection<Document>('rooms'), roomDb.collection<Document>('members')]
  const model = await roomRows.findOne({ _id: id as never })
  const own = await memberRows.findOne({ roomId: id })
  if (!model || !own) throw new Error('the rows of the room are not where they are looked for')
  const groups = Math.ceil(accounts.length / membersPerRoom)
  const made = Array.from({ length: groups * roomsPerUser }, () => ({
    id: randomBytes(12).toString('hex'),
    jid: randomBytes(16).toString('hex'),
  }))
  for (let first = 0; first < made.length; first += 20) {
    const some = made.slice(first, first + 20)
    await roomRows.insertMany(
      some.map((room) => ({ ...model, _id: room.id as never, jid: room.jid, userSize: membersPerRoom })),
    )
    await memberRows.insertMany(
      some.flatMap((room, n) => {
        const group = Math.floor((first + n) / roomsPerUser)
        return accounts.slice(group * membersPerRoom, (group + 1) * membersPerRoom).map(({ userId }) => ({
          ...own,
          _id: `${room.id}:${userId}` as never,
          roomId: room.id,
          userId,
          role: 3,
          rank: 3,
        }))
      }),
    )
  }
  const place = new Map(accounts.map(({ userId }, index) => [userId, Math.floor(index / membersPerRoom)]))
  return {
    all: made.map(({ jid }) => jid),
    jids({ userId }) {
      const group = place.get(userId)!
      return made.slice(group * roomsPerUser, (group + 1) * roomsPerUser).map(({ jid }) => jid)
    },
  }
}

/** Puts messages of the last hours into the archive of each room. */
async function sayBefore(messageDb: Db, jids: readonly string[], count: number, from: number): Promise<void> {
  const messages = messageDb.collection<Document>('messages')
  const now = Math.floor(Date.now() / 1000)
  let made = 0
  for (let first = 0; count && first < jids.length; first += 20)
    await messages.insertMany(
      jids.slice(first, first + 20).flatMap((jid) =>
        Array.from({ length: count }, (_, n) => {
          const timeSend = now - 60 * (count - n)
          const { to: _to, ...message } = storedMessage(made++, { from, to: 1, content: `第 ${n} 条消息`, timeSend })
          return { ...message, conversation: `r:${jid}`, roomJid: jid }
        }),
      ),
      { ordered: false },
    )
}

/** Tells how much CPU (ms) each process has used for one of `count` things. */
async function usageOf(processes: Record<string, number>) {
  const look = () => Promise.all(Object.values(processes).map(cpuSeconds))
  const before = await look()
  return async (count: number): Promise<Record<string, number>> => {
    const after = await look()
    const each = (index: number) => Math.round((1e6 * (after[index]! - before[index]!)) / Math.max(1, count)) / 1000
    return Object.fromEntries(Object.keys(processes).map((name, index) => [name, each(index)]))
  }
}

/** Two who write to each other by the clock: their latencies count from when a message was due. */
class Chat {
  readonly #clients: XmppClient[]
  readonly #domain: string
  readonly #dueAt = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  #took: number[] = []
  #next = performance.now()

  static async begin(address: MassJoin['address'], pair: readonly Account[]): Promise<Chat> {
    return new Chat(await Promise.all(pair.map((account) => XmppClient.login(address, account, 'pc'))), address.domain)
  }

  private constructor(clients: XmppClient[], domain: string) {
    this.#clients = clients
    this.#domain = domain
    for (const client of clients)
      client.onStanza = (stanza) => {
        const dueAt = stanza.includes('<body') ? this.#dueAt.get(attributeOf(stanza, 'id') ?? '') : undefined
        if (dueAt === undefined) return
        this.#took.push(performance.now() - dueAt)
        this.#dueAt.delete(attributeOf(stanza, 'id') ?? '')
      }
    this.#timer = setInterval(() => {
      for (; this.#next <= performance.now(); this.#next += pause) this.#say(this.#next)
    }, pause)
  }

  /** Latencies (ms) since the last look. */
  take(): number[] {
    const took = this.#took
    this.#took = []
    return took
  }

  end(): string[] {
    clearInterval(this.#timer)
    for (const client of this.#clients) client.close()
    const late = [...this.#dueAt.values()].filter((dueAt) => performance.now() - dueAt > 5000).length
    return late ? [`${late} chat messages did not arrive within 5 s`] : []
  }

  #say(dueAt: number): void {
    const [from, to] = this.#clients.toSorted(() => Math.random() - 0.5) as [XmppClient, XmppClient]
    const id = randomBytes(16).toString('hex')
    this.#dueAt.set(id, dueAt)
    const body = {
      type: 1,
      messageId: id,
      fromUserId: String(from.account.userId),
      content: 'hi',
      timeSend: Date.now() / 1000,
    }
    from.send(
      `<message id='${id}' type='chat' to='${to.account.userId}@${this.#domain}'><body>${escapeXml(JSON.stringify(body))}</body></message>`,
    )
  }
}
