/** Deeper and larger values are refused, because all code behind the edge walks through them. */
const deepest = 64
const mostMembers = 20_000

/**
 * Like JSON.parse, but integers beyond 2^53 become strings of their digits. A text that is nested deeper than 64 levels or has
 * more than 20,000 members of objects is refused before any value is built.
 */
export function parseJson(text: string): unknown {
  const whole = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
  return JSON.parse(withQuotedLongIntegers(whole))
}

const [quote, backslash, colon] = [34, 92, 58]
const [minus, plus, point, zero, nine] = [45, 43, 46, 48, 57]
const isOpening = (code: number) => code === 91 || code === 123
const isClosing = (code: number) => code === 93 || code === 125
const isOfNumber = (code: number) =>
  (code >= zero && code <= nine) || code === minus || code === plus || code === point || code === 101 || code === 69

/** Puts quotes around the integers that a number can't hold. Strings are skipped. */
function withQuotedLongIntegers(text: string): string {
  let depth = 0
  let members = 0
  let quoted = ''
  let copied = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) at = endOfString(text, at)
    else if (isOpening(code)) {
      if (++depth > deepest) throw new SyntaxError('nested too deep')
    } else if (isClosing(code)) depth--
    else if (code === colon) {
      if (++members > mostMembers) throw new SyntaxError('too many members')
    } else if (code === minus || (code >= zero && code <= nine)) {
      const start = at
      while (at + 1 < text.length && isOfNumber(text.charCodeAt(at + 1))) at++
      if (at - start < 15) continue
      const digits = text.slice(start, at + 1)
      if (!isLongInteger(digits)) continue
      quoted += `${text.slice(copied, start)}"${digits}"`
      copied = at + 1
    }
  }
  return copied ? quoted + text.slice(copied) : text
}

/** Position of the closing quote of the string that begins at `start`; the end of the text when there is none. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === backslash) at++
    else if (code === quote) return at
  }
  return text.length
}

/** True for an integer as JSON writes it that is beyond 2^53. */
const isLongInteger = (digits: string) => /^-?[1-9]\d*$/.test(digits) && !Number.isSafeInteger(Number(digits))
