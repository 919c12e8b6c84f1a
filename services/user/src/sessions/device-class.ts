/** A user has at most one session per device class (transport.md §5). */
export type DeviceClass = 'android' | 'ios' | 'pc' | 'mac' | 'web' | 'other'

const named: readonly DeviceClass[] = ['android', 'ios', 'pc', 'mac', 'web']

/** The first rule that matches the beginning of a word of model or osVersion decides. */
const wordRules: readonly [RegExp, DeviceClass][] = [
  [/^(iphone|ipad|ipod|ios)/, 'ios'],
  [/^mac/, 'mac'],
  // Android models such as PCT-AL10 begin with "pc", so only the whole word counts.
  [/^(windows|pc$)/, 'pc'],
  [/^(web|browser|chrome|firefox|safari)/, 'web'],
]

export interface DeviceHints {
  deviceKey?: string | undefined
  model?: string | undefined
  osVersion?: string | undefined
  serial?: string | undefined
  userAgent?: string | undefined
}

export function deviceClassOf(hints: DeviceHints): DeviceClass {
  const key = hints.deviceKey?.toLowerCase()
  const byKey = named.find((name) => name === key)
  if (byKey) return byKey
  const words = `${hints.model ?? ''} ${hints.osVersion ?? ''}`.toLowerCase().match(/[a-z0-9]+/g) ?? []
  const rule = wordRules.find(([pattern]) => words.some((word) => pattern.test(word)))
  if (rule) return rule[1]
  if (hints.serial || hints.model) return 'android'
  return hints.userAgent?.startsWith('Mozilla/') ? 'web' : 'other'
}
