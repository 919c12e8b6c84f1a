import { hash } from 'node:crypto'

/**
 * The index holds, for each message, short texts made of a key of its conversation and
 * - one character of the folded text, or two that stand side by side,
 * - `@@` and the sender, `##` and the type (other than plain text).
 * Each asks one question of one conversation, and one index answers it newest first. Tokens may coincide (the key is a hash,
 * a text may hold `@@1`): whoever finds a message by a token compares its text. What must not happen is a missing token.
 */
export type Token = string

/** Above so many tokens a text is kept by its single characters only, above so many of them by one token for all long texts. */
export const maxTokens = 512
const long = '\u0001\u0001'
const longest = '\u0001\u0001\u0001'

/** 36 bits of a hash of the conversation: six ASCII characters in front of every token. */
export const conversationKey = (conversation: string) => hash('sha256', conversation, 'base64').slice(0, 6)

const blank = /\s/u
const typeOfTexts = 1

export interface TextTokens {
  tokens: Token[]
  /** The tokens alone do not tell of pairs (or of anything): long texts are compared with more messages than needed. */
  isLong: boolean
}

/** Tokens of a message. `texts` are folded. */
export function tokensOf(message: {
  conversation: string
  texts: readonly string[]
  from: number
  contentType: number
}): TextTokens {
  const key = conversationKey(message.conversation)
  const facts = [`${key}@@${message.from}`]
  if (message.contentType !== typeOfTexts) facts.push(`${key}##${message.contentType}`)
  const single = new Set<string>()
  const pairs = new Set<string>()
  for (const text of message.texts) {
    let previous = ''
    for (const char of text) {
      if (blank.test(char)) {
        previous = ''
        continue
      }
      if (single.size <= maxTokens) single.add(char)
      if (previous && pairs.size <= maxTokens) pairs.add(previous + char)
      previous = char
    }
  }
  if (single.size + pairs.size <= maxTokens)
    return { tokens: [...facts, ...[...single, ...pairs].map((part) => key + part)], isLong: false }
  if (single.size <= maxTokens)
    return { tokens: [...facts, ...[...single].map((char) => key + long + char)], isLong: true }
  return { tokens: [...facts, key + longest], isLong: true }
}

/** A question to the index without the conversation: put behind `conversationKey`, one of `short` or `long` is the token. */
export interface Probe {
  short: string
  /** Tokens under which long texts that qualify are found. None: they have the short one, too. */
  long: string[]
  /** It asks for a single character: likely to have many answers. */
  isSingle: boolean
}

/** The characters that make up half of Chinese texts; a pair of two others is rarer than a pair with one of them. */
const frequent = new Set(
  '的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实吗吧啊呢吃明今',
)
const rank = (char: string) => {
  const code = char.codePointAt(0)!
  if (frequent.has(char)) return 2
  if (code < 0x80) return code >= 0x30 && code <= 0x39 ? 2 : 3
  return 0
}

/** Ways to ask for texts with all these words, the likely rarest first. Every text that holds the words answers each of them. */
export function probesFor(words: readonly string[]): Probe[] {
  const probes = new Map<string, { probe: Probe; rank: number }>()
  for (const word of words) {
    const chars = [...word]
    const [rarest] = chars.filter((char) => !blank.test(char)).sort((a, b) => rank(a) - rank(b))
    if (rarest === undefined) continue
    const inLong = [long + rarest, longest]
    chars.forEach((char, index) => {
      const next = chars[index + 1]
      if (next === undefined || blank.test(char) || blank.test(next)) return
      probes.set(char + next, {
        probe: { short: char + next, long: inLong, isSingle: false },
        rank: rank(char) + rank(next),
      })
    })
    probes.set(rarest, { probe: { short: rarest, long: inLong, isSingle: true }, rank: 10 + rank(rarest) })
  }
  return [...probes.values()].sort((a, b) => a.rank - b.rank).map(({ probe }) => probe)
}

export const senderProbe = (from: number): Probe => ({ short: `@@${from}`, long: [], isSingle: true })

/** Undefined for plain texts: nearly every message is one. */
export const typeProbe = (contentType: number): Probe | undefined =>
  contentType === typeOfTexts ? undefined : { short: `##${contentType}`, long: [], isSingle: true }
