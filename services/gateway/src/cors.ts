/** Any web page may call the API: it is protected by tokens, not by cookies (transport.md §1). */
export const corsHeaders: Readonly<Record<string, string>> = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, OPTIONS',
  'access-control-allow-headers': 'authorization, content-type, x-requested-with, x-request-id',
  'access-control-max-age': '3600',
}

const cookiePaths = /^\/+(console|mp|config\/+set)(?:[/?]|$)/

/** False for what pages of our own call with a cookie. */
export const hasCors = (path: string) => !cookiePaths.test(path)
