import { ContractError } from '@im/contracts'
import type { CollectedItem } from './collected-repository.ts'

const mostItems = 100
const longestMessage = 64 * 1024
const longestText = 4096

type Given = Record<string, unknown>

const wrong = (why: string) => new ContractError('InvalidParams', { detail: `emoji: ${why}` })

/** Reads the items that apps send as JSON: one or an array, whose numbers may be texts. */
export function readItems(json: unknown, messageId: string | undefined): CollectedItem[] {
  const items = Array.isArray(json) ? (json as unknown[]) : [json]
  if (!items.length || items.length > mostItems) throw wrong(`1 to ${mostItems} items`)
  return items.map((item) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) throw wrong('not an object')
    return readItem(item as Given, messageId)
  })
}

function readItem(item: Given, messageId: string | undefined): CollectedItem {
  const read = {
    type: number(item, 'type') ?? 0,
    url: text(item, 'url'),
    msg: text(item, 'msg', longestMessage),
    msgId: text(item, 'msgId', 128) ?? messageId,
    roomJid: text(item, 'roomJid', 64),
    fileName: text(item, 'fileName'),
    fileLength: Math.trunc(number(item, 'fileLength') ?? 0),
    fileSize: number(item, 'fileSize') ?? 0,
    collectType: number(item, 'collectType') ?? 0,
    collectContent: text(item, 'collectContent', longestMessage),
    collectMsgId: text(item, 'collectMsgId', 128),
    title: text(item, 'title'),
    shareURL: text(item, 'shareURL'),
  }
  if (!Number.isInteger(read.type) || read.type < 1 || read.type > 7) throw wrong('type is 1 to 7')
  if (![-1, 0, 1].includes(read.collectType)) throw wrong('collectType is -1, 0 or 1')
  if (read.msg === undefined && read.msgId === undefined && read.url === undefined)
    throw new ContractError('MissingParam', { detail: 'msg' })
  return read
}

function text(item: Given, name: string, longest = longestText): string | undefined {
  const value = item[name]
  if (value === undefined || value === null || value === '') return undefined
  // Apps send the body of a message as JSON text or as the object itself.
  const whole = typeof value === 'object' ? JSON.stringify(value) : String(value)
  if (whole.length > longest) throw new ContractError('RequestTooLarge', { detail: name })
  return whole.toWellFormed().replaceAll('\0', '')
}

function number(item: Given, name: string): number | undefined {
  const value = item[name]
  if (value === undefined || value === null || value === '') return undefined
  const read = typeof value === 'number' ? value : Number(String(value).trim())
  if (!Number.isFinite(read) || Math.abs(read) > Number.MAX_SAFE_INTEGER) throw wrong(`${name} is no number`)
  return read
}
