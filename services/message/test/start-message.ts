import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import { defaultsOf, type SessionKind } from '@im/contracts'
import { internalOrg } from '@im/contracts/org'
import { internalRooms } from '@im/contracts/room'
import { internalRelations } from '@im/contracts/social'
import { configFields, internalSessions, internalUsers, type ServerConfig } from '@im/contracts/user'
import { eventually, startService } from '@im/service-kit/testing'
import type { Test } from 'tap'
import type { FriendRow } from '../src/decide/relations.ts'
import type { Deps } from '../src/deps.ts'
import { service } from '../src/service.ts'
import { type ClientStream, domain, secret, XmppServer } from './xmpp-server.ts'

export const alice = 10000001
export const bob = 10000002
export const carol = 10000003

export interface FakeContact {
  exists?: 0 | 1
  status?: number
  allowGreet?: 0 | 1
  userType?: number
  multipleDevices?: 0 | 1
  nickname?: string
}

/** The rows of two users about each other, by `pairOf`. */
export type FakePair = { low?: FriendRow; high?: FriendRow }

/** Answers `/internal/users/contacts` as the user service does, the social service's `/internal/relations/standings`, the org service's colleagues, and which files rooms share. */
async function startUserService() {
  const contacts = new Map<number, FakeContact>()
  const pairs = new Map<string, FakePair>()
  /** `questions`: how often it was asked; `mode`: what it does with a question. */
  const state = {
    contacts,
    pairs,
    /** Who works with whom, by `pairOf`. */
    colleagues: new Set<string>(),
    /** Names of files that rooms share. */
    sharedFiles: new Set<string>(),
    /** Everybody's friends. */
    friends: [] as number[],
    questions: 0,
    asked: [] as number[],
    mode: 'answers' as 'answers' | 'is away' | 'hangs',
    socialIsAway: false,
    /** Users of live sessions, by the SHA-256 of their tokens. */
    sessions: new Map<string, number>(),
    sessionKind: 'user' as SessionKind,
    config: defaultsOf(configFields),
  }
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const isQuestion = request.url === internalUsers.getContacts.path
    const isAboutFriends = request.url === internalRelations.pageFriendIds.path
    const isAboutPairs = request.url === internalRelations.getStandings.path
    if (isQuestion) state.questions++
    const answer = (data: unknown) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ currentTime: Date.now(), resultCode: 1, data }))
    }
    if (isAboutFriends) return answer({ userIds: state.friends })
    if (request.url === internalOrg.findColleagues.path) {
      const asked = (JSON.parse(body) as { pairs: string[] }).pairs
      return answer({ colleagues: asked.filter((pair) => state.colleagues.has(pair)) })
    }
    if (request.url === internalRooms.findSharedFiles.path) {
      const asked = (JSON.parse(body) as { names: string[] }).names
      return answer({ names: asked.filter((name) => state.sharedFiles.has(name)) })
    }
    if (request.url?.startsWith('/internal/rooms/')) return void response.destroy()
    if (isAboutPairs) {
      if (state.socialIsAway) return void response.destroy()
      const asked = (JSON.parse(body) as { pairs: string[] }).pairs
      return answer({ standings: asked.map((pair) => ({ pair, ...pairs.get(pair) })) })
    }
    if (state.mode === 'is away') return void response.destroy()
    if (state.mode === 'hangs') return
    if (request.url === internalSessions.resolveSession.path) {
      const userId = state.sessions.get((JSON.parse(body) as { sessionId: string }).sessionId)
      const session = { userId, device: 'android', kind: state.sessionKind, expiresAt: Date.now() + 60_000 }
      return answer(userId === undefined ? { exists: 0 } : { exists: 1, session })
    }
    if (!isQuestion) return answer(state.config)
    const userIds = (JSON.parse(body) as { userIds: number[] }).userIds
    state.asked.push(...userIds)
    const cards = userIds.map((userId) => ({
      userId,
      exists: 1,
      status: 1,
      userType: 0,
      allowGreet: 1,
      multipleDevices: 1,
      nickname: `n${userId}`,
      ...contacts.get(userId),
    }))
    answer({ contacts: cards })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  })
}

export type UserService = Awaited<ReturnType<typeof startUserService>>

/** The message service on real stores, with XMPP servers of the tests and everything cleaned up afterwards. */
export async function startMessage(
  t: Test,
  options: {
    env?: Record<string, string>
    overrides?: Partial<Deps>
    xmpp?: XmppServer
    /** More servers than one: `xmpp` is the first. */
    servers?: XmppServer[]
    user?: UserService
    /** Values of the server's configuration, known when the promise resolves. */
    config?: Partial<ServerConfig>
  } = {},
) {
  const xmpp = options.xmpp ?? options.servers?.[0] ?? (await XmppServer.start())
  const servers = options.servers ?? [xmpp]
  const user = options.user ?? (await startUserService())
  // Registered first, so that it comes last: a service that ends still reaches them. Further replicas share those of the first.
  if (!options.user)
    t.after(async () => {
      await Promise.all(servers.map((server) => server.close()))
      user.close()
    })
  Object.assign(user.config, options.config)
  const env = {
    USER_URL: user.url,
    SOCIAL_URL: user.url,
    ORG_URL: user.url,
    ROOM_URL: user.url,
    XMPP_DOMAIN: domain,
    XMPP_COMPONENT_URL: servers.map(({ url }) => url).join(','),
    XMPP_COMPONENT_SECRET: secret,
    ...options.env,
  }
  const running = await startService(t, service, { env, overrides: options.overrides })
  if (options.config) await eventually(() => isDeepStrictEqual(running.deps.serverConfig.current, user.config))
  /** A client logs in; resolves when what comes for it goes to it at once. */
  async function online(
    userId: number,
    options: Parameters<XmppServer['connect']>[1] & { server?: XmppServer } = {},
  ): Promise<ClientStream> {
    const { server = xmpp, ...stream } = options
    await eventually(() => server.connected)
    const client = server.connect(userId, stream)
    const isWanted = client.state.priority !== undefined && client.state.priority >= 0
    await eventually(() => running.deps.streams.find(server.name, client.id)?.mail === (isWanted ? 'live' : 'away'))
    return client
  }
  return { ...running, api: running.internal, xmpp, servers, user, online, db: running.deps.db }
}

/** Whether each server is held by the replica whose share it is, so that none changes hands any more. */
export const isSharedOut = (
  servers: readonly XmppServer[],
  replicas: readonly { deps: Pick<Deps, 'peers' | 'feeds'> }[],
): boolean =>
  servers.every(({ name, url }) => {
    const owner = replicas.find(({ deps: { peers } }) => peers.id === peers.ownerOf(url))
    return owner?.deps.feeds.of(name) !== undefined
  })
