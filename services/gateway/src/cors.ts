/** Any web page may call the API: it is protected by tokens, not by cookies (transport.md §1). */
export const corsHeaders: Readonly<Record<string, string>> = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, OPTIONS',
  'access-control-allow-headers': 'authorization, content-type, x-requested-with, x-request-id',
  'access-control-max-age': '3600',
}

const cookiePaths = /^\/+(console|mp|config\/+set)(?:[/?]|$)/

/** False for what pages of our own call with a cookie, however its path is written. */
export const hasCors = (url: string) => !cookiePaths.test(plainPath(url))

function plainPath(url: string): string {
  if (!url.includes('%')) return url
  try {
    return decodeURI(url.split('?', 1)[0] ?? '')
  } catch {
    return url
  }
}
