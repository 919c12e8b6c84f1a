/** APNs on this machine: takes everything over HTTP/2 and TLS. Run by ../push-throughput.ts; tells its address, and on demand what it took. */
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'

export type ApnsReport = { url: string } | { taken: number; tokens: number }

const { CERT = '', CERT_KEY = '' } = process.env
let taken = 0
let tokens = new Set<string>()

const server = createSecureServer({ cert: CERT, key: CERT_KEY })
server.on('stream', (stream, headers) => {
  stream.resume()
  stream.on('end', () => {
    taken++
    tokens.add(String(headers[':path']))
    stream.respond({ ':status': 200, 'apns-id': 'eabeae54-14a8-11e5-b60b-1697f925ec7b' }, { endStream: true })
  })
})
server.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` } satisfies ApnsReport)
})

process.on('message', () => {
  process.send?.({ taken, tokens: tokens.size } satisfies ApnsReport)
  taken = 0
  tokens = new Set()
})
process.on('disconnect', () => process.exit(0))
