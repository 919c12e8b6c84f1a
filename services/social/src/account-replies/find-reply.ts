import type { WordReply } from './replies-repository.ts'

/** So much of a text (UTF-16 units) is read: words are looked for one by one, and questions are short. */
const longestRead = 1000

const folded = (text: string) => text.normalize('NFKC').trim().toLowerCase()

/** The first reply that fits the begin of a text. Width and case of letters don't matter. */
export function findReply(replies: readonly WordReply[], text: string): WordReply | undefined {
  const said = folded(text.slice(0, longestRead))
  return replies.find(({ words, match }) =>
    words.some((word) => (match === 1 ? said === folded(word) : said.includes(folded(word)))),
  )
}
