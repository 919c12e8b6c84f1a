/**
 * How texts are compared (spec 07-message.md, Search): NFKC, then full case folding, then as sequences of UTF-16 units.
 * JavaScript has no case folding; lower of upper of lower of each code point gives the same classes (ß, ẞ, ss; σ, ς, Σ),
 * except for the dotless i, which folds to itself. Each code point alone, so that the rule for a final sigma does not act.
 */
const foldCodePoint = (char: string): string => {
  const known = folds.get(char)
  if (known !== undefined) return known
  const folded = char === 'ı' ? char : char.toLowerCase().toUpperCase().toLowerCase()
  if (folds.size < mostFolds) folds.set(char, folded)
  return folded
}
/** Folding takes far longer than looking it up, and the archive does it for each character. */
const folds = new Map<string, string>()
const mostFolds = 20_000

/** Texts of these need neither normalisation nor folding beyond lower case: ASCII, CJK punctuation and ideographs. */
const plain = /^[\n\r\t -~、-〗一-鿿]*$/

export function foldText(text: string): string {
  if (plain.test(text)) return text.toLowerCase()
  let folded = ''
  for (const char of text.toWellFormed().normalize('NFKC')) folded += foldCodePoint(char)
  return folded
}

/** The words of a keyword, folded, without doubles. */
export function foldWords(keyword: string): string[] {
  return [...new Set(keyword.split(/\s+/u).filter(Boolean).map(foldText))]
}

const combining = /^\p{M}/u

/**
 * The text in pieces that normalise each by itself: a new piece begins where the next character, normalised, neither
 * combines with what stands before nor is a combining mark.
 */
function* pieces(text: string): Generator<{ start: number; end: number }> {
  let start = 0
  let end = 0
  for (const char of text) {
    const next = char.normalize('NFKC')
    if (end > start && !combining.test(next)) {
      const apart = text.slice(start, end).normalize('NFKC') + next
      if (apart.normalize('NFKC') === apart) {
        yield { start, end }
        start = end
      }
    }
    end += char.length
  }
  if (end > start) yield { start, end }
}

/** The folded text, and for each of its UTF-16 units where in the original it comes from. */
function foldWithOrigins(text: string): { folded: string; starts: number[]; ends: number[] } {
  if (plain.test(text)) {
    const at = Array.from(text, (_, n) => n)
    return { folded: text.toLowerCase(), starts: at, ends: at.map((n) => n + 1) }
  }
  const wellFormed = text.toWellFormed()
  const starts: number[] = []
  const ends: number[] = []
  let folded = ''
  for (const { start, end } of pieces(wellFormed)) {
    folded += foldText(wellFormed.slice(start, end))
    while (starts.length < folded.length) {
      starts.push(start)
      ends.push(end)
    }
  }
  const whole = foldText(text)
  if (folded === whole) return { folded, starts, ends }
  // Never seen, but better one wide highlight than a wrong one.
  return { folded: whole, starts: Array(whole.length).fill(0), ends: Array(whole.length).fill(text.length) }
}

export type Highlight = [start: number, end: number]

/**
 * Where the words stand in the original text, as UTF-16 positions, in order; overlapping places are one. A place covers whole
 * characters of the original, also when the word is only a part of what one of them stands for (`f` in the ligature `ﬃ`).
 */
export function findHighlights(text: string, words: readonly string[]): Highlight[] {
  const { folded, starts, ends } = foldWithOrigins(text)
  const found: Highlight[] = []
  for (const word of words)
    for (let at = folded.indexOf(word); at >= 0; at = folded.indexOf(word, at + 1))
      found.push([starts[at]!, ends[at + word.length - 1]!])
  found.sort((a, b) => a[0] - b[0] || b[1] - a[1])
  const merged: Highlight[] = []
  for (const [start, end] of found) {
    const last = merged.at(-1)
    if (last && start < last[1]) last[1] = Math.max(last[1], end)
    else merged.push([start, end])
  }
  return merged
}
