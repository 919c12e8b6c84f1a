import { once } from 'node:events'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { countStreamed } from '@im/service-kit'
import { test } from 'tap'

const mebibyte = 1024 * 1024

test('the buffers of a long body are collected while it passes', async (t) => {
  const chunk = Buffer.alloc(mebibyte)
  const server = createServer(async (_request, answer) => {
    for (let n = 0; n < 200; n++) if (!answer.write(chunk)) await once(answer, 'drain')
    answer.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const [answer] = (await once(get(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), 'response')) as [
    AsyncIterable<Buffer>,
  ]
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for await (const part of answer) {
    countStreamed(part.length)
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  t.ok(most < 56 * mebibyte, `${Math.round(most / mebibyte)} MiB`)
})
