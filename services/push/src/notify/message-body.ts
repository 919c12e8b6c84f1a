import { ContractError } from '@im/contracts'
import { longestContent } from '@im/contracts/message'
import { parseJson } from '@im/service-kit'

/** A message body that a server or the console's staff gave. */
export interface GivenBody {
  type: number
  content: string
  messageId: string | undefined
  isEncrypt: boolean
  isReadDel: boolean
  /** All its fields. */
  fields: Record<string, unknown>
}

const highestType = 2 ** 31 - 1
const isOn = (value: unknown) => value === 1 || value === true || value === '1' || value === 'true'

/** JSON of a message body, or a text. Throws InvalidParams when its type or content is none. */
export function givenBody(text: string): GivenBody {
  const fields = text.startsWith('{') ? objectIn(text) : undefined
  if (!fields) return { type: 1, content: text, messageId: undefined, isEncrypt: false, isReadDel: false, fields: {} }
  const { type: given = 1, content, messageId, isEncrypt, isReadDel } = fields
  const type = Number(given)
  if (!Number.isInteger(type) || type < 1 || type > highestType)
    throw new ContractError('InvalidParams', { detail: 'body: type' })
  return {
    ...{ type, isEncrypt: isOn(isEncrypt), isReadDel: isOn(isReadDel), fields },
    content: contentText(content ?? ''),
    messageId: typeof messageId === 'string' && /^[0-9a-zA-Z_-]{1,64}$/.test(messageId) ? messageId : undefined,
  }
}

/** The object that a text is JSON of. Undefined for any other text, and for JSON that is deeper or larger than the edge takes. */
export function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value = parseJson(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

/** The `content` of a body as text. Throws InvalidParams for one that the message service would not take. */
export function contentText(content: unknown): string {
  const text = typeof content === 'string' ? content : (JSON.stringify(content) ?? '')
  // Numbers may become longer than they were given: 1e20 has 21 digits.
  if (text.includes('\0') || Buffer.byteLength(text) > longestContent)
    throw new ContractError('InvalidParams', { detail: 'body: content' })
  return text.toWellFormed()
}

/** Fields of a message body hold a text, a number or a boolean. */
const fieldName = /^[A-Za-z][A-Za-z0-9_]{0,63}$/

/** Further fields of a body. Those that are null are left out. Throws InvalidParams for what no message has. */
export function furtherFields(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const fields = Object.entries(given).filter(([, value]) => value !== null)
  for (const [name, value] of fields)
    if (!fieldName.test(name) || typeof value === 'object')
      throw new ContractError('InvalidParams', { detail: 'body: a field that no message has' })
  return Object.fromEntries(fields)
}
