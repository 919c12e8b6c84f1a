import type { WireKind } from '@im/contracts'
import type { ParamSchema } from './param-schema.ts'

/** Words that apps send for an absent number or id (transport.md §1). */
export const absentWords: ReadonlySet<string> = new Set(['null', 'undefined', '(null)'])

const textKinds: ReadonlySet<WireKind> = new Set(['text', 'list', 'json', 'pwd'])

/** Whether a value counts as if the parameter was not sent. */
export function isAbsent(value: unknown, { wire = 'text', empty = 'absent' }: ParamSchema): boolean {
  if (value === null || value === undefined) return true
  if (wire === 'userRef' && (value === 0 || (typeof value === 'string' && value.trim() === '0'))) return true
  if (typeof value !== 'string' || empty === 'kept') return false
  if (value === '') return true
  const trimmed = value.trim()
  if (trimmed === '') return empty !== 'blank-kept' && empty !== 'blank-clears'
  return !textKinds.has(wire) && absentWords.has(trimmed)
}
