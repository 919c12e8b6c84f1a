import type { WordReply } from './replies-repository.ts'

const folded = (text: string) => text.normalize('NFKC').trim().toLowerCase()

/** The first reply that fits a text. Width and case of letters don't matter. */
export function findReply(replies: readonly WordReply[], text: string): WordReply | undefined {
  const said = folded(text)
  return replies.find(({ words, match }) =>
    words.some((word) => (match === 1 ? said === folded(word) : said.includes(folded(word)))),
  )
}
