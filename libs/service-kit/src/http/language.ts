import type { Language } from '@im/contracts'

/** `en` and `eg` are English, everything else Chinese (transport.md §6). */
export function languageOf(value: string | undefined): Language {
  return value === 'en' || value === 'eg' ? 'en' : 'zh'
}

/**
 * Language of a request whose parameters were not read. The query is searched, not parsed: 250 KB may be 125,000 parameters,
 * and parsing those keeps the process busy for half a second.
 */
export const queryLanguage = (url: string): Language => languageOf(/[?&]language=([^&]+)/.exec(url)?.[1])
