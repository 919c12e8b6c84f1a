import type { MessageDocument } from '../../../services/message/src/messages/message-document.ts'
import { storedMessage } from '../stored-message.ts'

/** The user a quarter of all messages belongs to. */
export const heavyUser = 10_000_000
/** The user every tenth message belongs to, each to another of so many chats. */
export const sociableUser = 9_999_999
export const sociableChats = 10_000
const firstOfSociable = 20_000_000
/** Messages that stand in one second. */
const inOneSecond = 10
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
    const [from, to] = n % 10 ? sides() : [firstOfSociable + ((n / 10) % sociableChats), sociableUser]
    return storedMessage(n, { from, to, content: text(), timeSend: start + Math.floor(n / inOneSecond) })
  }
  /** Of users nobody searches for. */
  function foreignMessage(n: number): MessageDocument {
    const from = 30_000_000 + random(5000)
    return storedMessage(2 ** 40 + n, { from, to: from + 5000, content: text(), timeSend: Date.now() / 1000 })
  }
  return { random, character, message, foreignMessage }
}
