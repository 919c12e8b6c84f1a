import { ContractError } from '@im/contracts'
import { longestContent } from '@im/contracts/message'

/** An article, or several, as the content of a message. Throws RequestTooLarge for more than a message may hold. */
export function articleText(shown: object): string {
  const content = JSON.stringify(shown)
  if (Buffer.byteLength(content) > longestContent) throw new ContractError('RequestTooLarge', { detail: 'article' })
  return content
}
