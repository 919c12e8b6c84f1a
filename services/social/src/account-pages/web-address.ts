import { ContractError } from '@im/contracts'

/** What browsers leave out of an address before they look at its scheme. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const leftOut = /[\s\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060\ufeff]/g
const scheme = /^([a-z][a-z0-9+.-]*):/i
/** `host:8080/path` has a port and no scheme. */
const port = /^\d{1,5}(?:[/?#]|$)/

/** An address that opens a web page: http, https or without scheme. Blanks are removed. Throws InvalidParams for all others. */
export function webAddress(text: string, name: string): string {
  const address = text.replace(leftOut, '')
  const found = scheme.exec(address)
  if (!found) return address
  const [{ length }, named = ''] = found
  const rest = address.slice(length)
  if (/^https?$/i.test(named) ? rest.startsWith('//') : port.test(rest)) return address
  throw new ContractError('InvalidParams', { detail: `${name}: neither http nor https` })
}
