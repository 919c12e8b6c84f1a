import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { createHttpServer, createLogger } from '@im/service-kit'
import { type Test, test } from 'tap'

/** A server that waits for nobody longer than 300 ms. */
async function startImpatient(t: Test) {
  const log = createLogger({ service: 'test', level: 'silent', format: 'json' })
  const app = createHttpServer(log, {
    requestTimeout: 300,
    http: { headersTimeout: 300, connectionsCheckingInterval: 50 },
  })
  app.post('/', async () => 'served')
  app.route({ method: 'POST', url: '/early', onRequest: async (_request, reply) => reply.send('early'), handler() {} })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const sockets: Socket[] = []
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    await app.close()
  })
  return async (text: string, rest = '') => {
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.write(text)
    if (rest) socket.once('data', () => socket.write(rest))
    await once(socket, 'close')
    return answer
  }
}

test('a request that does not arrive in time is answered and its connection closed', async (t) => {
  const send = await startImpatient(t)
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n'
  for (const slow of [head, `${head}\r\n`, `${head}\r\n123`]) {
    const answer = await send(slow)
    t.match(answer, /^HTTP\/1\.1 408 /, slow)
    t.match(answer, /"detailMsg":"the request did not arrive in time","resultCode":1010101/, slow)
    t.match(answer, /Connection: close/, slow)
  }
  t.match(await send(`${head}Connection: close\r\n\r\n12345`), /^HTTP\/1\.1 200 [\s\S]*served$/)
})

test('a request that is answered before its end is not answered again, whatever its rest is', async (t) => {
  const send = await startImpatient(t)
  const head = 'POST /early HTTP/1.1\r\nHost: a\r\n'
  const answers = {
    'a part that is none': await send(`${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`, 'x\r\n'),
    'a rest that never comes': await send(`${head}Content-Length: 5\r\n\r\n12`),
    'a coding that is refused': await send(`${head}Transfer-Encoding: x, chunked\r\n\r\n`, 'x\r\n'),
  }
  for (const [rest, answer] of Object.entries(answers)) t.equal(answer.split('HTTP/1.1 ').length - 1, 1, rest)
})
