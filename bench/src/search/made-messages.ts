import type { MessageDocument } from '../../../services/message/src/archive/message-document.ts'
import { storedMessage } from '../stored-message.ts'

/** The user a quarter of all messages belongs to. */
export const heavyUser = 10_000_000
const firstUser = 10_000_001
const heavyPeers = 40
const start = 1_750_000_000

/** The same messages in each run. */
export function messageMaker(users: number) {
  let seed = 42
  function random(below: number): number {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  /** Few characters are frequent, most are rare, as in Chinese. */
  const character = () => String.fromCodePoint(0x4e00 + Math.floor(3500 * (random(1e6) / 1e6) ** 3))
  const text = () => Array.from({ length: 4 + random(24) }, character).join('')

  /** A quarter belongs to the heavy user, half of that to one chat; of the rest half is sent by a tenth of the users. */
  function sides(): [from: number, to: number] {
    if (random(4) === 0) {
      const peer = firstUser + (random(2) ? 0 : random(heavyPeers))
      return random(2) ? [heavyUser, peer] : [peer, heavyUser]
    }
    const from = random(2) ? random(users) : random(Math.ceil(users / 10))
    return [firstUser + from, firstUser + ((from + 1 + random(20)) % users)]
  }

  function message(n: number): MessageDocument {
    const [from, to] = sides()
    return storedMessage(n, { from, to, content: text(), timeSend: start + n })
  }
  return { random, character, message }
}
