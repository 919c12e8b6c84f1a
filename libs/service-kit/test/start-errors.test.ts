/** What an operator reads when a service does not start: one line that says what to do, and no secret. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { freePort, ownServer, testEnv } from '@im/service-kit/testing'
import { BSON } from 'mongodb'
import { type Test, test } from 'tap'
import { hostsOf } from '../src/start-error.ts'

/** Starts a service that can't; resolves with what it wrote. */
async function start(env: Record<string, string>): Promise<{ code: number; lines: string[] }> {
  const file = join(import.meta.dirname, 'service-process.ts')
  const child = spawn(process.execPath, [file], { env: { ...testEnv(), ...env }, stdio: ['ignore', 'ignore', 'pipe'] })
  const late = setTimeout(() => child.kill('SIGKILL'), 60_000)
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  clearTimeout(late)
  return { code, lines: said.trim().split('\n') }
}

test('a store that is away, or refuses us, is one line', { timeout: 180_000 }, async (t) => {
  const port = await freePort()
  const cases: [env: Record<string, string>, line: RegExp][] = [
    [
      { MONGODB_URL: `mongodb://im:hidden-word@127.0.0.1:${port}/?directConnection=true` },
      new RegExp(`^MongoDB at 127.0.0.1:${port} does not answer \\(.*\\): start it, or correct MONGODB_URL$`),
    ],
    [{ MONGODB_URL: 'mongodb://im:hidden-word@a:b:c/?x=1' }, /^MONGODB_URL is no address of MongoDB: /],
    [
      { MONGODB_URL: 'mongodb://im:hidden-word@a/?directConnection=true&tls=true&tlsCAFile=/nowhere.pem' },
      /^MongoDB at a can't be used \(ENOENT.*\): correct MONGODB_URL$/,
    ],
    [
      { NATS_URL: `nats://im:hidden-word@127.0.0.1:${port}` },
      new RegExp(`^NATS at 127.0.0.1:${port} does not answer \\(.*\\): start it, or correct NATS_URL$`),
    ],
  ]
  for (const [env, line] of cases) {
    const { code, lines } = await start(env)
    t.equal(code, 1)
    t.equal(lines.length, 1, lines.join('\n'))
    t.match(lines[0], line)
    t.notMatch(lines[0], /hidden-word/)
  }
})

test('credentials that a store refuses are one line', { timeout: 120_000 }, async (t) => {
  const [redis, nats] = [await ownServer(t, 'redis'), await ownServer(t, 'nats')]
  if (!redis || !nats) return
  await redis.kill()
  await redis.start('--requirepass', 'another')
  await nats.kill()
  await nats.start('--user', 'im', '--pass', 'another')
  for (const [env, line] of [
    [{ REDIS_URL: redis.url.replace('//', '//:hidden-word@') }, /^Redis at 127.*refuses .* REDIS_URL/],
    [{ REDIS_URL: redis.url }, /^Redis at 127.*refuses .* REDIS_URL/],
    [{ NATS_URL: nats.url.replace('//', '//im:hidden-word@') }, /^NATS at 127.* refuses .* NATS_URL$/],
  ] as const) {
    const { code, lines } = await start(env)
    t.equal(code, 1)
    t.equal(lines.length, 1, lines.join('\n'))
    t.match(lines[0], line)
    t.notMatch(lines[0], /hidden-word/)
  }
})

/** Says of itself what a MongoDB of another version would. */
async function startMongodb(t: Test, answers: Record<string, object>): Promise<string> {
  const server = createServer((socket) => {
    let received = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 4 && received.length >= received.readInt32LE()) {
        const message = received.subarray(0, received.readInt32LE())
        received = received.subarray(message.length)
        socket.write(replyTo(message, answers))
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `mongodb://127.0.0.1:${(server.address() as AddressInfo).port}/?directConnection=true`
}

/** An OP_MSG, also to the OP_QUERY that begins a connection, to which an OP_REPLY belongs. */
function replyTo(message: Buffer, answers: Record<string, object>): Buffer {
  const isQuery = message.readInt32LE(12) === 2004
  const [name = ''] = Object.keys(BSON.deserialize(message.subarray(isQuery ? message.indexOf(0, 20) + 9 : 21)))
  const document = BSON.serialize({ ok: 1, ...answers[name.toLowerCase()] })
  const body = isQuery ? Buffer.concat([Buffer.alloc(20), document]) : Buffer.concat([Buffer.alloc(5), document])
  if (isQuery) body.writeInt32LE(1, 16)
  const head = Buffer.alloc(16)
  head.writeInt32LE(16 + body.length)
  head.writeInt32LE(message.readInt32LE(4), 8)
  head.writeInt32LE(isQuery ? 1 : 2013, 12)
  return Buffer.concat([head, body])
}

test('a MongoDB that is too old is named with its version', async (t) => {
  const hello = {
    ...{ isWritablePrimary: true, ismaster: true, setName: 'im', minWireVersion: 0, maxWireVersion: 21 },
    ...{ maxBsonObjectSize: 16_777_216, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000, helloOk: true },
  }
  const url = await startMongodb(t, { hello, ismaster: hello, buildinfo: { version: '7.0.14' } })
  const { code, lines } = await start({ MONGODB_URL: url })
  t.equal(code, 1)
  t.strictSame(lines, ['MongoDB of MONGODB_URL has version 7.0.14, and 8.0 or newer is needed'])
})

test('a wrong address is named before anything is connected, and a port that is taken by itself', async (t) => {
  const { lines } = await start({ MONGODB_URL: 'http://m', REDIS_URL: 'localhost:6379', NATS_URL: 'http://n:4222' })
  t.equal(lines.length, 4, lines.join('\n'))
  for (const line of [
    /MONGODB_URL must be such as mongodb:/,
    /REDIS_URL must be such as redis:/,
    /NATS_URL must be such as nats:/,
  ])
    t.ok(lines.some((each) => line.test(each)))

  const other = createServer().listen(0, '127.0.0.1')
  t.after(() => other.close())
  await once(other, 'listening')
  const { port } = other.address() as { port: number }
  const taken = await start({ PORT: String(port) })
  t.strictSame([taken.code, taken.lines], [1, [`port ${port} is taken: set PORT to a free one`]])
  const elsewhere = await start({ HOST: '192.0.2.1', SERVICE_KEY: 's'.repeat(16), CALLER_KEY: 'c'.repeat(16) })
  t.equal(elsewhere.lines.length, 1, elsewhere.lines.join('\n'))
  t.match(elsewhere.lines[0], /^can't listen at 192\.0\.2\.1, port \d+ \(.*\): set an address of this machine$/)
})

test('addresses are shown without their secrets', async (t) => {
  t.equal(hostsOf('mongodb://im:p@a:1,b:2/?replicaSet=rs0'), 'a:1,b:2')
  t.equal(hostsOf('redis://:p@h:6379'), 'h:6379')
  t.equal(hostsOf('nonsense'), 'its address')
})
