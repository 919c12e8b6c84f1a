import type { Language } from '@im/contracts'

/** `en` and `eg` are English, everything else Chinese (transport.md §6). */
export function languageOf(value: string | undefined): Language {
  return value === 'en' || value === 'eg' ? 'en' : 'zh'
}

/**
 * Language of a request whose parameters were not read. It is looked for, not parsed: a query of 250 KB has 125,000 parameters,
 * and to parse them keeps the process busy for half a second.
 */
export const queryLanguage = (url: string): Language => languageOf(/[?&]language=([^&]+)/.exec(url)?.[1])
