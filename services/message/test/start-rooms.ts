import { randomBytes } from 'node:crypto'
import { eventually, startService } from '@im/service-kit/testing'
import type { Test } from 'tap'
import { connectRooms, type Rooms, roomService } from './room-service.ts'
import { startMessage } from './start-message.ts'
import { type ClientStream, domain } from './xmpp-server.ts'

export const roomsDomain = `muc.${domain}`

type Replica = Awaited<ReturnType<typeof startMessage>>

/** The message service with a room service beside it. */
export async function startRooms(
  t: Test,
  options: Parameters<typeof startMessage>[1] & { replicas?: number } = {},
): Promise<Replica & { rooms: Rooms; replicas: Replica[]; newRoom: typeof newRoom }> {
  const env = { NAMESPACE: `t${randomBytes(5).toString('hex')}`, ...options.env }
  const running = await startService(t, roomService, { env })
  const { rooms } = running.deps
  const start = (more: Parameters<typeof startMessage>[1] = {}) =>
    startMessage(t, { ...options, ...more, env: { ...env, ROOM_URL: running.url, ...options.env } })
  const first = await start()
  const replicas = [first]
  while (replicas.length < (options.replicas ?? 1))
    replicas.push(await start({ servers: first.servers, user: first.user }))
  const client = connectRooms(rooms, first.url, first.deps.config.serviceKeys)
  t.after(() => client.close())
  // What is known counts once a replica has heard itself.
  await eventually(() => replicas.every(({ deps }) => deps.peers.isInTouch))

  /** A room with an owner and members; gives its jid. */
  async function newRoom(owner: number, members: readonly number[] = [], more: Parameters<Rooms['create']>[3] = {}) {
    const jid = randomBytes(16).toString('hex')
    await rooms.create(jid, owner, members, more)
    return jid
  }
  return { ...first, rooms, replicas, newRoom }
}

export const addressOf = (jid: string, nick?: number | string) =>
  `${jid}@${roomsDomain}${nick === undefined ? '' : `/${nick}`}`

/** A stream joins a room as apps do; `history` are attributes of the element of that name. */
export function join(stream: ClientStream, jid: string, history = `seconds='0'`, nick: number | string = stream.user) {
  stream.send(
    `<presence xmlns='jabber:client' to='${addressOf(jid, nick)}'><x xmlns='http://jabber.org/protocol/muc'><history ${history}/></x></presence>`,
  )
}

/** Joins, and resolves when the room has answered. */
export async function joined(stream: ClientStream, jid: string, history?: string): Promise<void> {
  const before = answers(stream, jid)
  join(stream, jid, history)
  await eventually(() => answers(stream, jid) > before)
}

const answers = (stream: ClientStream, jid: string) =>
  stream.received.filter(
    ({ stanza }) => stanza.attrs['from'] === addressOf(jid) && stanza.getChild('subject') !== undefined,
  ).length

/** Presences a stream got from a room: nick, kind and status codes. */
export const presencesOf = (stream: ClientStream, jid: string) =>
  stream.received.flatMap(({ stanza }) => {
    const [address, nick = ''] = (stanza.attrs['from'] ?? '').split('/')
    if (stanza.name !== 'presence' || address !== addressOf(jid)) return []
    const x = stanza.getChild('x', 'http://jabber.org/protocol/muc#user')
    const codes = x?.getChildElements().flatMap(({ name, attrs }) => (name === 'status' ? Number(attrs['code']) : []))
    const kind = stanza.attrs['type'] ?? 'available'
    const condition = stanza.getChild('error')?.getChildElements()[0]?.name
    return [{ nick, kind, codes: codes ?? [], isDestroyed: x?.getChild('destroy') !== undefined, condition, stanza }]
  })

/** What members said in a room, as a stream got it: contents in their order. */
export const saidIn = (stream: ClientStream, jid: string) =>
  stream.messages
    .filter(({ from }) => from.startsWith(`${addressOf(jid)}/`) && from !== addressOf(jid, 10005))
    .map(({ content }) => content)

/** Says something in a room; gives its id. */
export const sayIn = (stream: ClientStream, jid: string, content: unknown, more: Record<string, unknown> = {}) =>
  stream.say({ to: addressOf(jid), type: 'groupchat', body: { content, ...more } })
