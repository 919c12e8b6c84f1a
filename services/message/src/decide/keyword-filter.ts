import type { ServerConfig } from '@im/contracts/user'
import { AhoCorasick } from '@monyone/aho-corasick'
import { asFlag, type Body } from '../read/read-body.ts'
import { foldText } from '../search/fold-text.ts'

const plainText = 1

/**
 * The words that the configuration does not want in texts (`keywords`, while `isKeyWord` is 1; spec xmpp.md §8). Texts are
 * compared as the search does, so width and case make no difference.
 */
export class KeywordFilter {
  readonly #config: { readonly current: ServerConfig | undefined }
  #known = ''
  #words = new AhoCorasick([])

  constructor(config: { readonly current: ServerConfig | undefined }) {
    this.#config = config
  }

  /** Whether a message must not reach anybody. What is encrypted can't be read. */
  stops({ type, content, fields }: Body): boolean {
    const { isKeyWord, keywords } = this.#config.current ?? { isKeyWord: 0, keywords: [] }
    if (isKeyWord !== 1 || !keywords.length || type !== plainText || asFlag(fields['isEncrypt'])) return false
    const known = keywords.join('\n')
    if (known !== this.#known) {
      this.#words = new AhoCorasick(keywords.map((word) => foldText(word.trim())).filter(Boolean))
      this.#known = known
    }
    return this.#words.hasKeywordInText(foldText(content))
  }
}
