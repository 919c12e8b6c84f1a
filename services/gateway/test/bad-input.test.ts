import assert from 'node:assert/strict'
import { connect } from 'node:net'
import fc from 'fast-check'
import { test } from 'tap'
import { codes, startGateway } from './stage.ts'

/** Sends bytes and gives everything that came back until the gateway closed, or so many ms of silence. */
function exchange(url: string, bytes: Buffer | string, silence = 2000): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    let text = ''
    socket.setTimeout(silence, () => socket.destroy())
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
  })
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)

test('broken HTTP is answered cleanly', async (t) => {
  const { gateway } = await startGateway(t)
  const broken = [
    'GET /config HTTP/1.1\r\nno colon\r\n\r\n',
    'GET /config HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n',
    'NONSENSE\r\n\r\n',
    'GET /con fig HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST /config HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'POST /config HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /config HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n',
  ]
  for (const request of broken) {
    const answer = await exchange(gateway.url, request)
    t.equal(statusOf(answer), 400, `${request} -> ${answer}`)
    t.match(answer, /"currentTime":\d+.*"resultCode":1010101/, request)
    t.match(answer, /X-Content-Type-Options: nosniff/)
  }
})

test('what Node and Fastify refuse before any route is looked for has an envelope', async (t) => {
  const { gateway, call } = await startGateway(t)
  const refused: [request: string, status: number, resultCode: number][] = [
    [`GET /config HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(300_000)}\r\n\r\n`, 431, codes.tooLarge],
    ['GET /config HTTP/1.1\r\n\r\n', 400, codes.invalidParams],
    ['GET /nowhere HTTP/1.1\r\n\r\n', 400, codes.invalidParams],
    ['POST /user/login HTTP/1.1\r\nContent-Length: 3\r\n\r\na=1', 400, codes.invalidParams],
    ['GET /config HTTP/1.1\r\nHost: a\r\nExpect: foo\r\n\r\n', 417, codes.invalidParams],
    ['POST /config HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 400, codes.invalidParams],
    ['POST /config HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400, codes.invalidParams],
    ['CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 405, codes.unknown],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, codes.invalidParams],
    ['GET /config HTTP/3.7\r\nHost: a\r\n\r\n', 400, codes.invalidParams],
    ['GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n', 200, codes.unknown],
    ['PROPFIND /config HTTP/1.1\r\nHost: a\r\n\r\n', 200, codes.unknown],
    ['TRACE /config HTTP/1.1\r\nHost: a\r\n\r\n', 200, codes.unknown],
  ]
  for (const [request, status, resultCode] of refused) {
    const answer = await exchange(gateway.url, request)
    const [line = ''] = request.split('\r\n', 1)
    t.equal(statusOf(answer), status, `${line} -> ${answer}`)
    t.match(answer, new RegExp(`\\{"currentTime":\\d+.*"resultCode":${resultCode},"resultMsg":"[^"]+"\\}$`), line)
    t.match(answer, /^x-content-type-options: nosniff\r$/im, line)
    t.match(answer, /^access-control-allow-origin: \*\r$/im, line)
    t.match(answer, /^x-request-id: \S+\r$/im, line)
    t.match(answer, /^content-type: application\/json;charset=utf-8\r$/im, line)
  }
  const english = await exchange(gateway.url, 'GET /config?language=en HTTP/1.1\r\n\r\n')
  t.match(english, /"resultMsg":"[ -~]+"/)
  const late = exchange(gateway.url, 'GET /config HTTP/1.0\r\n\r\n')
  t.match(await late, /"resultCode":1[,}]/, 'HTTP/1.0 needs no Host')
  const continued = 'POST /config HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\na=1'
  t.match(await exchange(gateway.url, continued), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
  t.equal((await call('/config')).resultCode, codes.success)
})

test('queries and bodies in raw UTF-8 or with a stray percent are read', async (t) => {
  const { gateway } = await startGateway(t)
  for (const query of ['name=张三', 'a=100%', 'a=%zz&b=%', 'a=\x01'])
    t.match(
      await exchange(gateway.url, `GET /config?${query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`),
      /^HTTP\/1\.1 (200|400)/,
    )
  const body = 'name=张三&x=50%'
  const head = `POST /config HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`
  t.match(await exchange(gateway.url, head + body), /"resultCode":1[,}]/)
})

test('nothing a client sends is a 5xx or ends the gateway', async (t) => {
  const { gateway, call } = await startGateway(t, { LIMIT_FACTOR: '0' })
  const path = fc.oneof(
    fc.constantFrom(
      '/config',
      '/user/get',
      '/user/login',
      '/user/login/auto',
      '/oauth2/token',
      '/docs',
      '/http-bindx',
      '*',
    ),
    fc.webUrl({ withQueryParameters: true }),
    fc.string({ unit: 'binary' }).map((text) => `/${text}`),
    fc.string().map((text) => `/user/get?access_token=${text}&${text}`),
  )
  const header = fc.tuple(
    fc.constantFrom(
      'content-type',
      'authorization',
      'x-im-caller',
      'upgrade',
      'connection',
      'expect',
      'accept-encoding',
      'te',
      'cookie',
    ),
    fc.oneof(
      fc.constantFrom(
        'application/json',
        'multipart/form-data; boundary=x',
        'websocket',
        'Upgrade',
        '100-continue',
        ';;',
        'Bearer x',
      ),
      fc.string(),
      fc.string({ unit: 'binary' }),
    ),
  )
  const request = fc.record({
    method: fc.constantFrom(
      'GET',
      'POST',
      'PUT',
      'HEAD',
      'OPTIONS',
      'DELETE',
      'PROPFIND',
      'QUERY',
      'TRACE',
      'CONNECT',
      'get',
      'BREW',
    ),
    path,
    headers: fc.array(header, { maxLength: 4 }),
    body: fc.oneof(
      fc.string(),
      fc.json(),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.constant('--x\r\nContent-Disposition: form-data; name="access_token"\r\n\r\n'),
    ),
    host: fc.constantFrom('Host: a', 'Host: a', 'Host: a', undefined),
    lengthOff: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, -1, 3),
  })
  await t.resolves(
    fc.assert(
      fc.asyncProperty(request, async ({ method, path, headers, host, body, lengthOff }) => {
        const bytes = Buffer.from(body, 'latin1')
        const lines = [
          `${method} ${path} HTTP/1.1`,
          ...(host ? [host] : []),
          ...headers.map(([name, value]) => `${name}: ${value}`),
          ...(headers.some(([name]) => name === 'connection') ? [] : ['Connection: close']),
          `Content-Length: ${Math.max(0, bytes.length + lengthOff)}`,
        ]
        const answer = await exchange(
          gateway.url,
          Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]),
          500,
        )
        const status = statusOf(answer)
        assert.ok(status < 500, `${lines.join('\n')} -> ${answer}`)
        // The API page, OAuth, HEAD, preflights and silence of an incomplete request have no envelope.
        const isOther = method === 'HEAD' || !/ (200|4\d\d) /.test(answer) || /^\/(docs|oauth2)/.test(path)
        if (!isOther) assert.match(answer, /\{"currentTime":\d{13},/, `${lines.join('\n')} -> ${answer}`)
      }),
      { numRuns: 300 },
    ),
  )
  t.equal((await call('/config')).resultCode, codes.success)
})
