import { absentWords } from './absent.ts'
import { decodeValue, readJson, shortText, text } from './kinds.ts'
import { invalid, type ParamSchema } from './param-schema.ts'

/** Items that are read at most, blank ones and duplicates included. */
const mostMembers = 5000
const defaultMaxItems = 1000

/**
 * Decodes the values of a list parameter: JSON array, comma list (unless `commas: false`), single value, repeated parameter.
 * Blanks are dropped unless they are `kept`, and duplicates unless `unique: false`.
 */
export function decodeList(name: string, schema: ParamSchema, values: readonly unknown[]): unknown[] {
  const { unique = true, empty, maxItems = defaultMaxItems, items: itemSchema = { wire: 'text' } } = schema
  const isText = (itemSchema.wire ?? 'text') === 'text'
  const found: unknown[] = []
  const known = new Set<unknown>()
  let looked = 0
  for (const value of values)
    for (const member of membersOf(name, value, schema)) {
      if (++looked > mostMembers) throw invalid(name, `more than ${mostMembers} members`)
      const isBlank = isBlankMember(member)
      if (isBlank && empty !== 'kept') continue
      if (!isText && absentWords.has(shortText(member) ?? '')) continue
      if (typeof member === 'object' && !isBlank) throw invalid(name, 'not a list of texts or numbers')
      const item = isBlank ? '' : decodeValue(name, isText ? { trim: true, ...itemSchema } : itemSchema, member)
      if (unique) {
        if (known.has(item)) continue
        known.add(item)
      }
      found.push(item)
      if (found.length > maxItems) throw invalid(name, `more than ${maxItems} items`)
    }
  return found
}

function membersOf(name: string, value: unknown, { commas = true, maxBytes }: ParamSchema): readonly unknown[] {
  if (Array.isArray(value)) return value
  const whole = text(name, value, { maxBytes })
  if (!whole.trimStart().startsWith('[')) return commas ? whole.split(',') : [whole]
  try {
    const parsed = readJson(name, whole, { maxBytes })
    if (Array.isArray(parsed)) return parsed
  } catch (error) {
    if (commas) throw error
  }
  // A title may begin with a bracket.
  return [whole]
}

const isBlankMember = (member: unknown) =>
  member === null || member === undefined || (typeof member === 'string' && member.trim() === '')
