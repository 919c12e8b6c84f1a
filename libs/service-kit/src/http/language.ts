import type { Language } from '@im/contracts'

/** `en` and `eg` are English, everything else Chinese (transport.md §6). */
export function languageOf(value: string | undefined): Language {
  return value === 'en' || value === 'eg' ? 'en' : 'zh'
}

/** Language of a request whose parameters were not read. */
export function queryLanguage(url: string): Language {
  const at = url.indexOf('?')
  return languageOf(at < 0 ? undefined : (new URLSearchParams(url.slice(at + 1)).get('language') ?? undefined))
}
