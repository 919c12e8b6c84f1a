/** Characters that JSON may hold and XML may not: an XMPP server would end the connection on them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const notInXml = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g

/** JSON text that can stand in a stanza. */
export const xmlJson = (value: unknown): string =>
  JSON.stringify(value).replace(notInXml, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
