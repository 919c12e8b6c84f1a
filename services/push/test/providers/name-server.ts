import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Test } from 'tap'

const [questionAt, ipv4] = [12, 1]

/** The labels of the first question (RFC 1035 §4.1.2), and where what follows the name begins. */
function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = []
  let at = questionAt
  for (let length = query[at] ?? 0; length; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), end: at + 1 }
}

/** A name server (UDP) that knows these IPv4 addresses and leaves questions about other names without an answer. */
export async function startNameServer(t: Test, addresses: Record<string, string[]>) {
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    const { name, end } = readName(query)
    const known = addresses[name]
    if (!known) return
    const found = query.readUInt16BE(end) === ipv4 ? known : []
    const head = Buffer.from(query.subarray(0, questionAt))
    head.writeUInt16BE(0x8180, 2)
    for (const [n, count] of [1, found.length, 0, 0].entries()) head.writeUInt16BE(count, 4 + 2 * n)
    const record = (address: string) =>
      Buffer.from([0xc0, questionAt, 0, ipv4, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split('.').map(Number)])
    socket.send(
      Buffer.concat([head, query.subarray(questionAt, end + 4), ...found.map(record)]),
      from.port,
      from.address,
    )
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.after(() => socket.close())
  return { address: `127.0.0.1:${socket.address().port}` }
}
