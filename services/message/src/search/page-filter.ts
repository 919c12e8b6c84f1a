/**
 * Tells where a word may be, for many messages at a time: bit-sliced Bloom filters. Some dozen messages make a column of
 * `rows` bits; a token of their texts sets three bits of it. The columns stand side by side, a row of them is one bit per
 * column, so the columns that may hold a token are the AND of three rows. The three rows of a token lie within 64 (the filter
 * is blocked), so a search reads one slice of the filter, however large it is, and filters are merged by putting their rows
 * side by side.
 *
 * Tokens are single characters and pairs of neighbours. In scripts of few letters pairs tell little, there also three in a
 * row are tokens. Blanks are in none.
 */
export type Token = number

/** About 11 bits for each token of a full column, for 2 % of wrong candidates. */
const rows = 16_384
const blockRows = 64

/** A column of more would be useless. A text of more tokens has one for itself that is always a candidate. */
export const maxColumnTokens = 1500

/** Into how many slices a filter is cut, by level: large ones are cut finer, so that slices stay at some KB. */
export const slicesOf = [16, 64, 256] as const
export type Level = 0 | 1 | 2

const firstIdeographic = 0x2e80
const isOfFewLetters = (codePoint: number) => codePoint < firstIdeographic
const blank = /\s/u
const isBlank = (codePoint: number) =>
  codePoint <= 0x20 || (codePoint >= 0x80 && codePoint < 0x3001 && blank.test(String.fromCodePoint(codePoint)))

/** Tokens are 32-bit hashes. Two may coincide: that makes a wrong candidate, never a missing one. */
function tokenOf(a: number, b = 0, c = 0): Token {
  let mixed = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77) ^ Math.imul(c, 0xc2b2ae3d)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** All tokens of a folded text. */
export function addTokens(text: string, tokens: Set<Token>): void {
  let before = 0
  let last = 0
  for (let at = 0; at < text.length; ) {
    const char = text.codePointAt(at)!
    at += char > 0xffff ? 2 : 1
    if (isBlank(char)) {
      before = 0
      last = 0
      continue
    }
    tokens.add(tokenOf(char))
    if (last) {
      tokens.add(tokenOf(last, char))
      if (before && isOfFewLetters(before) && isOfFewLetters(last) && isOfFewLetters(char))
        tokens.add(tokenOf(before, last, char))
    }
    before = last
    last = char
  }
}

/** The characters that make up half of Chinese texts: a pair with one of them is less rare. */
const frequent = new Set(
  [
    ...'的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实吗吧啊呢吃明今',
  ].map((char) => char.codePointAt(0)!),
)
const commonness = (char: number) => (frequent.has(char) ? 2 : isOfFewLetters(char) ? 3 : 1)

/** Runs of characters without a blank. */
function unbroken(word: string): number[][] {
  const runs: number[][] = [[]]
  for (const char of word) {
    const codePoint = char.codePointAt(0)!
    if (isBlank(codePoint)) runs.push([])
    else runs.at(-1)!.push(codePoint)
  }
  return runs
}

/**
 * Tokens every text with these words has, the likely rarest first, at most `most`. None when the words are of blanks (as
 * folding may make them): then every column is a candidate.
 */
export function tokensToAsk(words: readonly string[], most: number): Token[] {
  const ranked = new Map<Token, number>()
  for (const chars of words.flatMap(unbroken)) {
    if (chars.length === 1) ranked.set(tokenOf(chars[0]!), 10 * commonness(chars[0]!))
    for (let n = 0; n + 1 < chars.length; n++) {
      const [a, b, c] = [chars[n]!, chars[n + 1]!, chars[n + 2]]
      if (c !== undefined && [a, b, c].every(isOfFewLetters)) ranked.set(tokenOf(a, b, c), 5)
      else ranked.set(tokenOf(a, b), commonness(a) + commonness(b))
    }
  }
  return [...ranked]
    .sort((a, b) => a[1] - b[1])
    .slice(0, most)
    .map(([token]) => token)
}

const blockOf = (token: Token) => token >>> 24
const rowsInBlock = (token: Token) => [token & 63, (token >>> 6) & 63, (token >>> 12) & 63] as const

/** In which slice of a filter of this level the rows of a token are. */
export const sliceOf = (token: Token, level: Level) => Math.floor((blockOf(token) * blockRows * slicesOf[level]) / rows)

/** A filter in the slices of its level. Rows are `width` bytes of eight columns, the first in the lowest bit. */
export interface PageFilter {
  width: number
  slices: Buffer[]
}

/** From the tokens of each column; undefined for one that is always a candidate. */
export function buildFilter(columns: readonly (ReadonlySet<Token> | undefined)[]): PageFilter {
  const width = Math.ceil(columns.length / 8)
  const bits = Buffer.alloc(rows * width)
  for (const [column, tokens] of columns.entries()) {
    const byte = column >> 3
    const bit = 1 << (column & 7)
    if (tokens)
      for (const token of tokens)
        for (const row of rowsInBlock(token)) bits[(blockOf(token) * blockRows + row) * width + byte]! |= bit
    else for (let row = 0; row < rows; row++) bits[row * width + byte]! |= bit
  }
  return { width, slices: cut(bits, slicesOf[0]) }
}

function cut(bits: Buffer, count: number): Buffer[] {
  const length = bits.length / count
  return Array.from({ length: count }, (_, n) => bits.subarray(n * length, (n + 1) * length))
}

/** One filter of the next level with the columns of all, in order. */
export function mergeFilters(filters: readonly PageFilter[], level: Level): PageFilter {
  const width = filters.reduce((sum, filter) => sum + filter.width, 0)
  const bits = Buffer.allocUnsafe(rows * width)
  let left = 0
  for (const filter of filters) {
    const whole = Buffer.concat(filter.slices)
    // Rows are a few bytes: byte by byte they take a tenth of what as many calls of `copy` take.
    for (let row = 0; row < rows; row++)
      for (let byte = 0; byte < filter.width; byte++)
        bits[row * width + left + byte] = whole[row * filter.width + byte]!
    left += filter.width
  }
  return { width, slices: cut(bits, slicesOf[level]) }
}

/** Clears from `candidates` (one bit per column) those that do not hold the token. `slice` is the one the token lies in. */
export function narrow(candidates: Buffer, token: Token, slice: Buffer, level: Level): void {
  const width = candidates.length
  const first = (blockOf(token) * blockRows) % (rows / slicesOf[level])
  for (const row of rowsInBlock(token)) {
    const at = (first + row) * width
    for (let byte = 0; byte < width; byte++) candidates[byte]! &= slice[at + byte]!
  }
}
