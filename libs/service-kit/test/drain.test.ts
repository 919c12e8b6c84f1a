import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createLogger, createServiceApp, Registry } from '@im/service-kit'
import { type Test, test } from 'tap'
import { drainBeforeEnd } from '../src/http/drain.ts'

async function startApp(t: Test, seconds: number) {
  const app = createServiceApp({
    handlers: [],
    deps: {},
    config: { serviceKeys: ['k'], callerKeys: ['c'] },
    log: createLogger({ service: 'test', level: 'silent', format: 'json' }),
    metrics: new Registry(),
  })
  drainBeforeEnd(app, seconds)
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  t.after(() => app.close())
  const ask = async (socket: Socket, path: string) => {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    const [answer] = await once(socket, 'data')
    return String(answer)
  }
  const open = async () => {
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    return socket
  }
  return { app, ask, open }
}

test('at the end calls are answered for a while, on old connections and on new ones, and send their callers elsewhere', async (t) => {
  const { app, ask, open } = await startApp(t, 2)
  const [kept, second] = [await open(), await open()]
  t.match(await ask(kept, '/startedz'), /200 OK[\s\S]*connection: keep-alive/i)
  let isOver = false
  const closing = app.close().then(() => {
    isOver = true
  })
  // The end has begun when probes say so.
  let answer = ''
  do answer = await ask(await open(), '/startedz')
  while (/200 OK/.test(answer))
  t.match(answer, /503[\s\S]*connection: close/i)
  const ended = once(kept, 'end')
  t.match(await ask(kept, '/healthz'), /200 OK[\s\S]*connection: close/i)
  await ended
  t.match(await ask(second, '/healthz'), /200 OK[\s\S]*connection: close/i, 'a connection that was never used')
  t.notOk(isOver)
  await closing
  await t.rejects(open(), { code: 'ECONNREFUSED' })
})
