import { findMembers } from './json-members.ts'

/** The JSON of a message as this service understands it; apps get the text as it was sent. */
export interface Body {
  text: string
  /** Type code; 0 when the body names none. */
  type: number
  /** '' when the body names none. */
  messageId: string
  /** The sender the body claims; undefined when it names none. */
  fromUserId: unknown
  /** `content` as text; an object or array as the JSON that was sent. */
  content: string
  /** The fields that are read here or in the archive; others travel unread in the text. */
  fields: Readonly<Record<string, unknown>>
}

/** Fields that decide what a message may do: given twice, every reader could take another one. */
const checkedFields = ['type', 'messageId', 'fromUserId', 'toUserId']
const readFields = new Set([
  ...checkedFields,
  'content',
  'deleteTime',
  'fileName',
  'fromUserName',
  'isEncrypt',
  'isReadDel',
  'objectId',
  'timeSend',
  'toUserName',
])
const highestType = 2 ** 31 - 1
const maxBodyBytes = 64 * 1024

/** Why a body is refused; `condition` of XMPP, `text` for developers. */
export interface BodyRefusal {
  condition: 'bad-request' | 'policy-violation'
  text: string
}

const bad = (text: string): BodyRefusal => ({ condition: 'bad-request', text })

/**
 * Reads a body strictly (spec xmpp.md §2): what apps see is what is decided on, and what two readers could see differently is
 * refused.
 */
export function readBody(text: string): Body | BodyRefusal {
  // A character is at most three bytes of UTF-8: only long texts need counting.
  if (text.length > maxBodyBytes / 3 && Buffer.byteLength(text) > maxBodyBytes)
    return { condition: 'policy-violation', text: 'the body is longer than 64 KiB' }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return bad('the body is no JSON')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return bad('the body is no JSON object')
  const { places, repeated } = findMembers(text, readFields)
  // Not from `parsed`: V8 expects the names of the JSON it read before and compares them with the text unescaped, so that it
  // sometimes gives a field whose name is written with escapes another name than apps read.
  const fields = Object.fromEntries(
    [...places].map(([name, { start, end }]) => [name, JSON.parse(text.slice(start, end)) as unknown]),
  )
  const doubled = checkedFields.find((name) => repeated.has(name))
  if (doubled) return bad(`the body has two fields ${doubled}`)
  const type = typeCode(own(fields, 'type'))
  if (type === undefined) return bad('type must be an integer')
  const content = own(fields, 'content')
  const place = places.get('content')
  return {
    text,
    type,
    messageId: asText(own(fields, 'messageId')),
    fromUserId: own(fields, 'fromUserId') ?? undefined,
    content:
      typeof content === 'object' && content !== null && place ? text.slice(place.start, place.end) : plain(content),
    fields,
  }
}

export const isRefused = (reading: Body | BodyRefusal): reading is BodyRefusal => 'condition' in reading

const own = (fields: Record<string, unknown>, name: string): unknown =>
  Object.hasOwn(fields, name) ? fields[name] : undefined

/** 1, 1.0 and "1" are type 1; a body without a type is of type 0. Undefined for anything else. */
function typeCode(value: unknown): number | undefined {
  if (value === undefined) return 0
  const code = typeof value === 'string' && /^(0|[1-9]\d{0,9})$/.test(value) ? Number(value) : value
  if (typeof code !== 'number' || !Number.isInteger(code) || code < 0 || code > highestType) return undefined
  return code
}

export const asText = (value: unknown) =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
const plain = (value: unknown) => (typeof value === 'boolean' ? String(value) : asText(value))

/** Numbers, true/false, "1" and "true" are all seen on the wire. */
export const asFlag = (value: unknown) => value === 1 || value === true || value === '1' || value === 'true'

const maxIds = 200

/** Ids of a comma list, as types 26 and 202 carry them: the first 200. */
export const idsOf = (content: string): string[] => allIdsOf(content).slice(0, maxIds)

/** Whether a comma list holds ids that nobody here looks at, though apps may. */
export const hasUnreadIds = (content: string): boolean => allIdsOf(content).length > maxIds

const allIdsOf = (content: string): string[] => [
  ...new Set(
    content
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean),
  ),
]
