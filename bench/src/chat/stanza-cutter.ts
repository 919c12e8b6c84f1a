/**
 * Cuts a stream as Prosody writes it into the stream's header, its whole children and its end. Prosody escapes `>` in
 * text and attributes and writes neither comments nor CDATA, so tags can be found without parsing.
 */
export class StanzaCutter {
  #text = ''
  #at = 0
  #depth = 0
  #start = 0

  push(chunk: string): string[] {
    this.#text += chunk
    const text = this.#text
    const cut: string[] = []
    for (;;) {
      const open = text.indexOf('<', this.#at)
      const close = open < 0 ? -1 : text.indexOf('>', open)
      if (close < 0) break
      this.#at = close + 1
      const mark = text.charCodeAt(open + 1)
      if (mark === question) continue
      if (mark === slash) {
        this.#depth -= 1
        if (this.#depth === 1) cut.push(text.slice(this.#start, this.#at))
        else if (this.#depth === 0) cut.push(text.slice(open, this.#at))
      } else {
        if (this.#depth === 1) this.#start = open
        if (this.#depth === 0) {
          cut.push(text.slice(open, this.#at))
          this.#depth = 1
        } else if (text.charCodeAt(close - 1) !== slash) this.#depth += 1
        else if (this.#depth === 1) cut.push(text.slice(open, this.#at))
      }
    }
    const keep = this.#depth >= 2 ? this.#start : this.#at
    this.#text = text.slice(keep)
    this.#at -= keep
    this.#start = 0
    return cut
  }
}

const slash = 47
const question = 63

/** Value of an attribute in the first tag of an element. */
export function attributeOf(element: string, name: string): string | undefined {
  const tag = element.slice(0, element.indexOf('>'))
  const at = tag.indexOf(` ${name}=`)
  if (at < 0) return undefined
  const quoteAt = at + name.length + 2
  return unescapeXml(tag.slice(quoteAt + 1, tag.indexOf(tag[quoteAt]!, quoteAt + 1)))
}

const characters: Record<string, string> = {
  quot: '"',
  apos: "'",
  lt: '<',
  gt: '>',
  amp: '&',
  '#13': '\r',
  '#10': '\n',
}
export const unescapeXml = (text: string) => text.replace(/&([a-z]+|#1[03]);/g, (_, name: string) => characters[name]!)

const references: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&apos;' }
export const escapeXml = (text: string) => text.replace(/[&<>']/g, (character) => references[character]!)
