const manyDigits = /\d{16}/
const deepest = 64

/**
 * JSON.parse that loses nothing and stays shallow: integers beyond 2^53 come as their digits (text), and what is nested
 * deeper than 64 levels is refused, because everything behind the edge walks such values recursively.
 */
export function parseJson(text: string): unknown {
  refuseDeep(text)
  const whole = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
  return manyDigits.test(whole) ? JSON.parse(whole, keepDigits as Parameters<typeof JSON.parse>[1]) : JSON.parse(whole)
}

function keepDigits(_key: string, value: unknown, { source }: { source?: string }): unknown {
  const isBig = typeof value === 'number' && !Number.isSafeInteger(value) && source && /^-?\d+$/.test(source)
  return isBig ? source : value
}

const opening = new Set(['[', '{'])
const closing = new Set([']', '}'])

/** Counts brackets outside of strings. */
function refuseDeep(text: string): void {
  let depth = 0
  let isText = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at] as string
    if (isText) {
      if (char === '\\') at++
      else if (char === '"') isText = false
    } else if (char === '"') isText = true
    else if (opening.has(char) && ++depth > deepest) throw new SyntaxError('nested too deep')
    else if (closing.has(char)) depth--
  }
}
