import { invalid } from './param-schema.ts'

/**
 * Refuses JSON that has a special meaning for code that stores or copies it: keys that begin with `$` are operators of MongoDB,
 * `__proto__` changes the object it is assigned to. Values are nested at most as deep as parseJson allows.
 */
export function refuseUnsafeKeys(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    for (const member of value) refuseUnsafeKeys(name, member)
    return
  }
  for (const [key, member] of Object.entries(value)) {
    if (key.startsWith('$') || key === '__proto__') throw invalid(name, 'has a key that is not allowed')
    refuseUnsafeKeys(name, member)
  }
}
