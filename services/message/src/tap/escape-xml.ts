const escapes: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
  '\r': '&#13;',
}

/** For text and attributes. A carriage return is written as a reference: parsers would turn it into a line feed. */
export const escapeXml = (text: string) => text.replace(/[&<>'"\r]/g, (character) => escapes[character]!)
