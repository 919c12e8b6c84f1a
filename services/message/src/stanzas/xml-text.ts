const textEscapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' }

/** Character data of an element. A carriage return is a reference: parsers would turn it into a line feed. */
export const escapeText = (text: string) => text.replace(/[&<>\r]/g, (character) => textEscapes[character]!)

const attributeEscapes: Record<string, string> = {
  ...textEscapes,
  "'": '&apos;',
  '\n': '&#10;',
  '\t': '&#9;',
}

/** The value of an attribute between single quotes. */
export const escapeAttribute = (text: string) =>
  text.replace(/[&<>'\r\n\t]/g, (character) => attributeEscapes[character]!)

const attributeReferences = new Map(
  Object.entries(attributeEscapes).map(([character, reference]) => [reference, character]),
)

/** What `escapeAttribute` was given. */
export const unescapeAttribute = (text: string) =>
  text.replace(/&(?:[a-z]+|#\d+);/g, (reference) => attributeReferences.get(reference) ?? reference)
