import { ContractError } from '@im/contracts'

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

/** JSON of a message body, or a text. Throws InvalidParams when its type is none. */
export function givenBody(text: string): GivenBody {
  const fields = objectIn(text)
  if (!fields) return { type: 1, content: text, messageId: undefined, isEncrypt: false, isReadDel: false, fields: {} }
  const { type: given = 1, content = '', messageId, isEncrypt, isReadDel } = fields
  const type = Number(given)
  if (!Number.isInteger(type) || type < 1 || type > highestType)
    throw new ContractError('InvalidParams', { detail: 'body: type' })
  return {
    ...{ type, isEncrypt: isOn(isEncrypt), isReadDel: isOn(isReadDel), fields },
    content: typeof content === 'string' ? content : JSON.stringify(content),
    messageId: typeof messageId === 'string' && /^[0-9a-zA-Z_-]{1,64}$/.test(messageId) ? messageId : undefined,
  }
}

function objectIn(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
