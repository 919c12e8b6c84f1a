import { randomBytes } from 'node:crypto'
import { eventually } from '@im/service-kit/testing'
import type { Test } from 'tap'
import { streamKey } from '../src/read/addresses.ts'
import { isSharedOut, startMessage } from './start-message.ts'
import { type ClientStream, XmppServer } from './xmpp-server.ts'

type Replica = Awaited<ReturnType<typeof startMessage>>

/** Two replicas, and two servers that are held by different ones: of 14 hardly ever all fall to one. */
export async function startTwo(t: Test) {
  const servers = await Promise.all(Array.from({ length: 14 }, () => XmppServer.start()))
  const env = { NAMESPACE: `t${randomBytes(5).toString('hex')}` }
  const first = await startMessage(t, { servers, env })
  const second = await startMessage(t, { servers, env, user: first.user })
  const replicas = [first, second]
  // Each has heard the other: before that, one may take all servers for its own.
  await eventually(() => replicas.every(({ deps }) => deps.peers.others.length) && isSharedOut(servers, replicas))
  const [left, right] = replicas.map(({ deps }) => servers.find(({ name }) => deps.feeds.of(name)))
  return { replicas, first, left: left!, right: right! }
}

/** Resolves when a stream gets what comes at once, and every replica knows where it is. */
export async function live(replicas: readonly Replica[], server: XmppServer, stream: ClientStream): Promise<void> {
  const key = streamKey(server.name, stream.id)
  await eventually(() => replicas.some(({ deps }) => deps.streams.find(server.name, stream.id)?.mail === 'live'))
  await eventually(() =>
    replicas.every(
      ({ deps: { streams } }) =>
        streams.find(server.name, stream.id) || streams.farOf(stream.user).some((far) => far.key === key),
    ),
  )
}
