/** Where a member's value stands in the text of its object. */
export interface MemberPlace {
  start: number
  end: number
}

/**
 * Finds members at the top level of a JSON object by name. `text` must be what `JSON.parse` read as an object: this only
 * tells what the parsed object does not, where a value stands and which names were given twice. Takes time linear in the
 * text, whatever it nests.
 */
export function findMembers(
  text: string,
  names: ReadonlySet<string>,
): { places: Map<string, MemberPlace>; repeated: Set<string> } {
  const places = new Map<string, MemberPlace>()
  const repeated = new Set<string>()
  let at = skipBlank(text, text.indexOf('{') + 1)
  while (text.charCodeAt(at) === quote) {
    const nameEnd = endOfString(text, at)
    const raw = text.slice(at + 1, nameEnd - 1)
    const name = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw
    const start = skipBlank(text, skipBlank(text, nameEnd) + 1)
    const end = endOfValue(text, start)
    if (names.has(name)) {
      if (places.has(name)) repeated.add(name)
      places.set(name, { start, end })
    }
    // Behind the value stands a comma or the end of the object.
    at = skipBlank(text, skipBlank(text, end) + 1)
  }
  return { places, repeated }
}

const quote = 0x22
const openBrace = 0x7b
const openBracket = 0x5b
const closeBrace = 0x7d
const closeBracket = 0x5d
const comma = 0x2c

function skipBlank(text: string, at: number): number {
  for (;;) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
    at++
  }
}

/** `at` is the opening quote; gives the position behind the closing one. */
function endOfString(text: string, at: number): number {
  for (;;) {
    const end = text.indexOf('"', at + 1)
    let backslashes = 0
    while (text[end - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return end + 1
    at = end
  }
}

function endOfValue(text: string, at: number): number {
  const first = text.charCodeAt(at)
  if (first === quote) return endOfString(text, at)
  if (first !== openBrace && first !== openBracket) {
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === comma || code === closeBrace || code <= 0x20) return at
      at++
    }
  }
  let depth = 0
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      at = endOfString(text, at)
      continue
    }
    at++
    if (code === openBrace || code === openBracket) depth++
    else if ((code === closeBrace || code === closeBracket) && --depth === 0) return at
  }
}
