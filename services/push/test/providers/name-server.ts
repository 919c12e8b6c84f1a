import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import ipaddr from 'ipaddr.js'
import type { Test } from 'tap'

const [questionAt, ipv4, ipv6] = [12, 1, 28]

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

const bytesOf = (address: string) => ipaddr.parse(address).toByteArray()

/**
 * A name server (UDP) that knows these addresses and leaves questions about other names without an answer. It may answer each
 * question for IPv4 otherwise.
 */
export async function startNameServer(t: Test, addresses: Record<string, string[] | ((n: number) => string[])>) {
  const asked = new Map<string, number>()
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    const { name, end } = readName(query)
    const type = query.readUInt16BE(end)
    const n = asked.get(name) ?? 0
    if (type === ipv4) asked.set(name, n + 1)
    const given = addresses[name]
    const known = typeof given === 'function' ? given(n) : given
    if (!known) return
    const found = known.map(bytesOf).filter(({ length }) => length === (type === ipv6 ? 16 : 4))
    const head = Buffer.from(query.subarray(0, questionAt))
    head.writeUInt16BE(0x8180, 2)
    for (const [n, count] of [1, found.length, 0, 0].entries()) head.writeUInt16BE(count, 4 + 2 * n)
    const record = (bytes: number[]) =>
      Buffer.from([0xc0, questionAt, 0, type, 0, 1, 0, 0, 0, 0, 0, bytes.length, ...bytes])
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
