import { randomBytes } from 'node:crypto'
import type { EventType, Payload } from '@im/contracts'
import { roomMembers, rooms } from '@im/contracts/room'
import { eventPublisher, recordEvents, startService, testEnv, type WireParams } from '@im/service-kit/testing'
import type { Test } from 'tap'
import type { Deps } from '../src/deps.ts'
import { service } from '../src/service.ts'
import { startPeers } from './peers.ts'

export const newJid = () => randomBytes(16).toString('hex')

/** The room service on real stores. Beside it are services that know these people. */
export async function startRoom(t: Test, env: Record<string, string> = {}, overrides: Partial<Deps> = {}) {
  let ahead = 0
  const now = () => Date.now() + ahead
  const { serviceKeys, callerKeys } = service.readConfig(testEnv(env))
  const peers = await startPeers(t, { serviceKeys, callerKeys })
  const peerUrls = { USER_URL: peers.url, SOCIAL_URL: peers.url, MESSAGE_URL: peers.url }
  const started = await startService(t, service, {
    env: { LIMIT_FACTOR: '0', ...peerUrls, ...env },
    overrides: { now, ...overrides },
  })
  const { api } = started
  let nextUserId = 10_000_001

  /** Somebody whom the user service knows. */
  function person(nickname: string): number {
    const userId = nextUserId++
    peers.names.set(userId, nickname)
    return userId
  }

  return {
    ...started,
    peers,
    person,
    people: (...names: string[]) => names.map(person) as [number, number, number, number, number, number],
    publish: eventPublisher(t, started.env),
    /** Lets the service believe that so much time has passed. */
    passSeconds(seconds: number) {
      ahead += seconds * 1000
    },
    /** A room of the first one with the others in it. */
    async room(owner: number, others: number[] = [], fields: WireParams<typeof rooms.addRoom> | object = {}) {
      return await api.call(rooms.addRoom, { ...fields, text: others as never }, { as: owner })
    },
    /** Roles of all members, as their owner sees them. */
    async roles(roomId: string, owner: number): Promise<Record<number, number>> {
      const members = await api.call(roomMembers.listMembers, { roomId }, { as: owner })
      return Object.fromEntries(members.map(({ userId, role }) => [userId, role]))
    },
    events<E extends EventType>(event: E): Promise<Payload<E>[]> {
      return recordEvents(t, started.env, event)
    },
  }
}

export type RoomService = Awaited<ReturnType<typeof startRoom>>
