const textEscapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' }

/** Character data of an element. A carriage return is a reference: parsers would turn it into a line feed. */
export const escapeText = (text: string) => text.replace(/[&<>\r]/g, (character) => textEscapes[character]!)

/**
 * The same for a text with many references, such as XML within XML: parsers hand over a section in one piece, and each reference
 * and what stands between two of them in one of its own.
 */
export const escapeXml = (text: string) => (/\r|\]\]>/.test(text) ? escapeText(text) : `<![CDATA[${text}]]>`)

const attributeEscapes: Record<string, string> = {
  ...textEscapes,
  "'": '&apos;',
  '\n': '&#10;',
  '\t': '&#9;',
}

/** The value of an attribute between single quotes. */
export const escapeAttribute = (text: string) =>
  text.replace(/[&<>'\r\n\t]/g, (character) => attributeEscapes[character]!)

const references = (escapes: Record<string, string>) =>
  new Map(Object.entries(escapes).map(([character, reference]) => [reference, character]))
const textReferences = references(textEscapes)
const attributeReferences = references(attributeEscapes)

const resolved = (text: string, known: ReadonlyMap<string, string>) =>
  text.replace(/&(?:[a-z]+|#\d+);/g, (reference) => known.get(reference) ?? reference)

/** What `escapeText` was given. */
export const unescapeText = (text: string) => resolved(text, textReferences)

/** What `escapeAttribute` was given. */
export const unescapeAttribute = (text: string) => resolved(text, attributeReferences)
