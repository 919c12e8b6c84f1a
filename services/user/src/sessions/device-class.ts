/** At most one session per user and device class (transport.md §5). */
export type DeviceClass = 'android' | 'ios' | 'pc' | 'mac' | 'web' | 'other'

const named: readonly DeviceClass[] = ['android', 'ios', 'pc', 'mac', 'web']

/** In this order; matched against how a word of model or osVersion begins. */
const wordRules: readonly [RegExp, DeviceClass][] = [
  [/^(iphone|ipad|ipod|ios)/, 'ios'],
  [/^mac/, 'mac'],
  // "pc" only as a whole word: Android models such as PCT-AL10 begin with it.
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
