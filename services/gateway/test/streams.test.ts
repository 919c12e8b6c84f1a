import { createHash } from 'node:crypto'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Call, ContractError, contract, Nothing } from '@im/contracts'
import { bindHandlers, createLogger, createMetrics, createServiceApp } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { pino } from 'pino'
import { type Test, test } from 'tap'
import { Type } from 'typebox'
import { AddressBudget } from '../src/limits/address-budget.ts'
import { alice, codes, newToken, sessionIdOf, startGateway } from './stage.ts'
import { stubService } from './stub-replicas.ts'

const mebibyte = 1024 * 1024

const uploads = contract('user', {
  upload: {
    path: '/upload/:kind',
    methods: ['POST'],
    summary: { zh: '上传', en: 'Upload' },
    auth: 'none',
    body: 'stream',
    maxBytes: 100 * mebibyte,
    timeoutMs: 20_000,
    params: Type.Object({ kind: Type.String({ wire: 'text' }) }),
    result: Type.Object({ bytes: Type.Integer(), sha256: Type.String(), kind: Type.String() }),
  },
  half: {
    path: '/half',
    methods: ['POST'],
    summary: { zh: '半途', en: 'Refuse after the first bytes' },
    auth: 'none',
    body: 'stream',
    maxBytes: 100 * mebibyte,
    params: Type.Object({}),
    result: Nothing,
  },
  refuse: {
    path: '/refuse',
    methods: ['POST'],
    summary: { zh: '拒绝', en: 'Refuse' },
    auth: 'user',
    body: 'stream',
    maxBytes: 100 * mebibyte,
    params: Type.Object({}),
    result: Nothing,
  },
})

/** A service that takes uploads, behind a gateway that knows it. */
async function startUploads(t: Test, overrides: Parameters<typeof startGateway>[2] = {}) {
  const state = { bytes: 0, cut: false }
  const upload = async (_deps: unknown, { body, params }: Call<typeof uploads.upload>) => {
    const sum = createHash('sha256')
    try {
      for await (const chunk of body) {
        state.bytes += chunk.length
        sum.update(chunk)
      }
    } catch (error) {
      state.cut = true
      throw error
    }
    return { bytes: state.bytes, sha256: sum.digest('hex'), kind: params.kind }
  }
  const service = createServiceApp({
    handlers: bindHandlers(uploads, {
      upload,
      refuse: async () => undefined as never,
      async half(_deps: unknown, { body }: Call<typeof uploads.half>) {
        for await (const _ of body) throw new ContractError('InvalidParams')
      },
    }) as never,
    deps: {},
    config: { serviceKeys: ['test-service-key'], callerKeys: ['test-caller-key'] },
    log: createLogger({ service: 'stub', level: 'error', format: 'json' }),
    metrics: createMetrics('stub'),
  })
  const url = await service.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => service.close())
  const { log, warnings } = keptWarnings()
  const { gateway, call } = await startGateway(
    t,
    { USER_URL: url },
    { endpoints: Object.values(uploads), log, ...overrides },
  )
  return { state, gateway, call, warnings }
}

/** What a log warns of. */
function keptWarnings() {
  const warnings: string[] = []
  const log = pino({ level: 'warn' }, { write: (line) => warnings.push(JSON.parse(line).msg) })
  return { log, warnings }
}

interface Answer {
  resultCode: number
  data?: { bytes: number; sha256: string; kind: string }
}

/** Begins an upload; `end` gives the answer. `path` is sent as it is. */
function begin(url: string, headers: Record<string, string> = {}, path = new URL(url).pathname) {
  const type = { 'content-type': 'application/octet-stream' }
  const upload = request(url, { method: 'POST', path, headers: { ...type, ...headers } })
  const answered = new Promise<Answer>((resolve, reject) => {
    upload.on('error', reject)
    upload.on('response', async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve(JSON.parse(text) as Answer)
    })
  })
  return { upload, answered }
}

test('what an address may have at once it has again when the ones before are over', async (t) => {
  const { gateway } = await startUploads(t, { streams: new AddressBudget({ most: 8, mostOfAddress: 2 }) })
  for (let n = 0; n < 4; n++) {
    const { upload, answered } = begin(`${gateway.url}/upload/x`)
    upload.end('abc')
    t.equal((await answered).resultCode, codes.success)
  }
})

test('an app that leaves while its token is looked up keeps no place', async (t) => {
  const streams = new AddressBudget({ most: 8, mostOfAddress: 2 })
  const { gateway, owners } = await startGateway(t, {}, { endpoints: [uploads.refuse], streams })
  for (let n = 0; n < 3; n++) {
    const token = newToken()
    owners.sessions.set(sessionIdOf(token), { ...alice, expiresAt: Date.now() + 60_000 })
    const lookedUp = Promise.withResolvers<void>()
    owners.beforeLookup = async () => {
      left.upload.destroy()
      await left.answered.catch(() => {})
      // Until the gateway has noticed, too.
      await delay(50)
      lookedUp.resolve()
    }
    const left = begin(`${gateway.url}/refuse?access_token=${token}`, {}, `/refuse?access_token=${token}`)
    left.upload.end('abc')
    await lookedUp.promise
  }
  await eventually(() => {
    if (streams.take('127.0.0.1', 2)) return false
    streams.release('127.0.0.1', 2)
    return true
  })
  t.pass('both are free')
})

test('path parameters never lead to another path, and no service is asked', async (t) => {
  const user = await stubService(t, (_request, response) => response.end())
  const { gateway } = await startGateway(t, { USER_URL: user.url }, { endpoints: [uploads.upload] })
  for (const kind of ['%2e%2e', '%2E', '..%2Fx', 'x%2F..', 'x%5C%2e%2e%5Cy', '..x', 'x..', '..%00', '..%20.png']) {
    const { upload, answered } = begin(gateway.url, {}, `/upload/${kind}`)
    upload.end()
    t.equal((await answered).resultCode, codes.unknown, kind)
  }
  t.strictSame(user.paths, [])
})

test('an upload reaches its service while it arrives, whole and unchanged', async (t) => {
  const { state, gateway } = await startUploads(t)
  const { upload, answered } = begin(`${gateway.url}/upload/pic%2Fture?x=%E4%BD%A0`)
  const part = Buffer.alloc(mebibyte, 'ab')
  const sum = createHash('sha256')
  for (let n = 0; n < 20; n++) {
    sum.update(part)
    upload.write(part)
  }
  await eventually(() => state.bytes > 0)
  await delay(100)
  upload.end()
  const { resultCode, data } = await answered
  t.equal(resultCode, codes.success)
  t.same(data, { bytes: 20 * mebibyte, sha256: sum.digest('hex'), kind: 'pic/ture' })
})

test('an upload that is too long, or not allowed, is refused before it is sent', async (t) => {
  const { gateway, call, state } = await startUploads(t)
  const long = begin(`${gateway.url}/upload/x`, { 'content-length': String(101 * mebibyte) })
  long.upload.flushHeaders()
  t.equal((await long.answered).resultCode, codes.tooLarge)
  t.equal((await call('/refuse', { method: 'POST', body: 'x' })).resultCode, codes.tokenMissing)
  t.equal(state.bytes, 0)
})

test('an app that sends all of a refused upload before it reads can do so', async (t) => {
  const { gateway } = await startUploads(t)
  const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1')
  t.after(() => socket.destroy())
  const length = 12 * mebibyte
  socket.write(`POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Length: ${length}\r\n\r\n`)
  const sent = new Promise<string>((resolve) => {
    socket.on('error', ({ message }) => resolve(message)).on('close', () => resolve('closed'))
    socket.write(Buffer.alloc(length), (error) => resolve(error?.message ?? 'all of it'))
  })
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  t.equal(await sent, 'all of it')
  await eventually(() => text.includes(`"resultCode":${codes.tokenMissing}`))
})

test('a service may take its time for an upload, an app that stops sending may not', async (t) => {
  const user = await stubService(t, (incoming, response) => {
    incoming.resume().on('end', async () => {
      await delay(900)
      response.end('{"resultCode":1}')
    })
  })
  const { gateway } = await startGateway(t, { USER_URL: user.url }, { endpoints: [uploads.upload], longestPause: 300 })
  const { upload, answered } = begin(`${gateway.url}/upload/x`)
  upload.end('abc')
  t.equal((await answered).resultCode, codes.success)
  const standing = begin(`${gateway.url}/upload/x`)
  standing.upload.write('abc')
  await t.rejects(standing.answered)
})

test('an upload whose app goes away ends at its service', async (t) => {
  const { gateway, state, call, warnings } = await startUploads(t)
  const { upload, answered } = begin(`${gateway.url}/upload/x`)
  upload.write(Buffer.alloc(mebibyte))
  await eventually(() => state.bytes > 0)
  upload.destroy()
  await t.rejects(answered)
  await eventually(() => state.cut)
  t.equal((await call('/upload/x', { method: 'POST', body: 'x' })).resultCode, codes.success)
  t.strictSame(warnings, [], 'nobody blames the service')
})

test('an upload whose service dies is not sent again', async (t) => {
  const user = await stubService(t, (incoming) => incoming.once('data', () => incoming.socket.destroy()))
  const { log, warnings } = keptWarnings()
  const { call } = await startGateway(t, { USER_URL: user.url }, { endpoints: Object.values(uploads), log })
  const answer = await call('/upload/x', { method: 'POST', body: 'x'.repeat(100_000) })
  t.equal(answer.resultCode, codes.unavailable)
  t.strictSame(warnings, ['a service does not answer'])
  t.same(
    user.paths.filter((path) => !path.startsWith('/internal/')),
    ['/upload/x'],
  )
})

test('a refused upload is told why, and the connection serves the next call', async (t) => {
  const { gateway, call } = await startUploads(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  for (const size of [100_000, 900_000, 8 * mebibyte, 900_000]) {
    const refused = await new Promise<Answer>((resolve, reject) => {
      const upload = request(`${gateway.url}/half`, { method: 'POST', agent }, async (answer) => {
        let text = ''
        for await (const chunk of answer) text += chunk
        resolve(JSON.parse(text) as Answer)
      })
      upload.on('error', reject).end(Buffer.alloc(size))
    })
    t.equal(refused.resultCode, codes.invalidParams, `${size}`)
    t.equal((await call('/upload/x', { method: 'POST', body: 'x' })).resultCode, codes.success)
  }
})
