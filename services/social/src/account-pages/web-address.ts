import { ContractError } from '@im/contracts'

/** What browsers leave out of an address before they look at its scheme. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const leftOut = /[\s\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060\ufeff]/g
const scheme = /^([a-z][a-z0-9+.-]*):/i
/** `x.test:8080/path` has a port and no scheme. Without a dot it may be a script: `javascript:1/alert(1)` runs. */
const withPort = /^(?:[^:.]*\.[^:]*|localhost):\d{1,5}(?:[/?#]|$)/i

/** An address that opens a web page: http, https or without scheme. Blanks are removed. Throws InvalidParams for all others. */
export function webAddress(text: string, name: string): string {
  const address = text.replace(leftOut, '')
  const found = scheme.exec(address)
  if (!found) return address
  const [{ length }, named = ''] = found
  if (/^https?$/i.test(named) ? address.startsWith('//', length) : withPort.test(address)) return address
  throw new ContractError('InvalidParams', { detail: `${name}: neither http nor https` })
}
