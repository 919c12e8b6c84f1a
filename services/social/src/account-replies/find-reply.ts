import type { WordReply } from './replies-repository.ts'

/** So much of a text (UTF-16 units) is read: words are looked for one by one, and questions are short. */
const longestRead = 1000

/** A letter may become eighteen. */
const folded = (text: string) => text.normalize('NFKC').trim().toLowerCase()

/** A reply with its words as they are looked for. */
export type FoldedReply = Pick<WordReply, 'words' | 'match' | 'content'>

/** Folding a thousand words takes longer than looking for them, so it is done once for many texts. */
export const foldReplies = (replies: readonly WordReply[]): FoldedReply[] =>
  replies.map(({ words, match, content }) => ({ words: words.map(folded), match, content }))

/** The first reply that fits the begin of a text. Width and case of letters don't matter. */
export function findReply(replies: readonly FoldedReply[], text: string): FoldedReply | undefined {
  const said = folded(text.slice(0, longestRead)).slice(0, longestRead)
  return replies.find(({ words, match }) => words.some((word) => (match === 1 ? said === word : said.includes(word))))
}
