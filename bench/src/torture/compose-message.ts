import { randomBytes } from 'node:crypto'
import type { Device } from './device.ts'
import type { Dice } from './dice.ts'
import type { Kind, Message } from './ledger.ts'
import type { Room } from './room.ts'

/** A message as apps write it, with a text of its own; the next in the order of its device. */
export function composeMessage(options: {
  device: Device
  kind: Kind
  from: number
  to: number | Room
  dice: Dice
  /** Members of the body that differ from those of a chat. */
  fields?: object
  names?: readonly string[]
}): Message {
  const { device, kind, from, to, dice, fields = {}, names = [] } = options
  const id = randomBytes(16).toString('hex')
  // Some apps count in whole seconds: then it is the server that keeps the order.
  const timeSend = device.confirms === 'sm' ? Math.floor(Date.now() / 1000) : Date.now() / 1000
  const content = `第 ${device.nextPlace} 条 <${kind}> & “${'好'.repeat(dice.integer(1, 40))}”`
  const body = JSON.stringify({
    type: 1,
    messageId: id,
    fromUserId: String(from),
    fromUserName: `用户${from}`,
    toUserId: typeof to === 'number' ? String(to) : to.jid,
    content,
    timeSend,
    ...fields,
  })
  return {
    ...{ id, kind, from, device: device.name, body, names },
    ...(typeof to === 'number' ? { to } : { to: 0, room: to }),
    ...{ place: device.nextPlace++, sentAt: [], refusals: [], isGivenUp: false, deliveries: [] },
  }
}
