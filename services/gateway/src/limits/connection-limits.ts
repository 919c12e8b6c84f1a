import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { Counter, limitAddress, type Registry } from '@im/service-kit'
import type { IsTrustedProxy } from '../trusted-proxies.ts'
import { AddressBudget } from './address-budget.ts'

/**
 * Bounds the open connections of all clients together and of each address; further ones are closed at once. A trusted proxy has no
 * bound of its own, because it brings the calls of many clients.
 */
export function limitConnections(
  server: Server,
  options: { most: number; mostOfAddress: number; isTrusted: IsTrustedProxy; metrics: Registry },
): void {
  const { most, mostOfAddress, isTrusted } = options
  const open = new AddressBudget({ most, mostOfAddress })
  const refused = new Counter({
    name: 'im_gateway_refused_connections_total',
    help: 'Connections closed at once because there were too many, of all clients or of one address',
    labelNames: ['of'],
    registers: [options.metrics],
  })
  server.on('connection', (socket: Socket) => {
    const peer = socket.remoteAddress
    // It is closed already.
    if (!peer) return
    const address = isTrusted(peer, 0) ? undefined : limitAddress(peer)
    const full = open.take(address)
    if (full) {
      refused.inc({ of: full })
      socket.destroy()
    } else socket.once('close', () => open.release(address))
  })
}
