import { setTimeout as delay } from 'node:timers/promises'
import { accounts } from '@im/contracts/user'
import type { TestClient } from '@im/service-kit/testing'
import { composeMessage } from '../torture/compose-message.ts'
import { type Confirms, Device, type Servers } from '../torture/device.ts'
import type { Dice } from '../torture/dice.ts'
import type { Ledger } from '../torture/ledger.ts'

/** Somebody with one device, who stays online and writes to a few others. */
export interface Writer {
  userId: number
  token: string
  peers: readonly number[]
  device: Device
}

/** Two of three confirm by XEP-0198, the others by `xmpp:shiku:ack`. */
export async function registerWriters(
  count: number,
  common: { api: TestClient; dice: Dice; ledger: Ledger; servers: Servers },
): Promise<Writer[]> {
  const { api, dice, ledger, servers } = common
  const accountsMade: { userId: number; access_token: string }[] = []
  for (let index = 0; index < count; index += 4)
    accountsMade.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(4, count - index) }, (_, more) => register(index + more, api)),
      )),
    )
  return accountsMade.map(({ userId, access_token: token }, index) => {
    const confirms: Confirms = index % 3 === 2 ? 'ack' : 'sm'
    const account = { userId, resource: 'android', password: token }
    const device = new Device({ account, servers, ledger, dice: dice.fork(), confirms })
    device.stay()
    return { userId, token, device, peers: [1, 2, 5].map((step) => accountsMade[(index + step) % count]!.userId) }
  })
}

const register = (index: number, api: TestClient) =>
  api.call(accounts.register, {
    telephone: `137${String(index).padStart(8, '0')}`,
    password: '5f4dcc3b5aa765d61d8327deb882cf99',
    nickname: `用户${index}`,
    deviceKey: 'android',
  })

/** Writes messages by the clock until the signal aborts, each of another writer. */
export async function writeMessages(options: {
  writers: readonly Writer[]
  perSecond: number
  dice: Dice
  ledger: Ledger
  until: AbortSignal
}): Promise<void> {
  const { writers, perSecond, dice, ledger, until } = options
  const began = performance.now()
  for (let count = 0; !until.aborted; await delay(5)) {
    for (const due = ((performance.now() - began) / 1000) * perSecond; count < due; count++) {
      const { userId: from, peers, device } = writers[count % writers.length]!
      const message = composeMessage({ device, kind: 'chat', from, to: dice.one(peers), dice })
      ledger.messages.set(message.id, message)
      device.send(message)
    }
  }
}
