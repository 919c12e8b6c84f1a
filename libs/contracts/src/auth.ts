/** Ranks of the console's staff: 4 support, 5 administrator, 6 super administrator. A rank includes those below it. */
export type ConsoleRole = 4 | 5 | 6

/** How a session was made: by an app, by `/console/login` or by `/mp/login`. */
export type SessionKind = 'user' | 'console' | 'mp'

/**
 * One way to be let in (transport.md §5).
 * - `user`: a live session of an app (TokenMissing, TokenInvalid).
 * - `mp`: a live session of the pages of a public account.
 * - `{ console: n }`: a live console session of a user who has at least role n at this moment.
 * - `{ role: n }`: a live session of an app or of the console, of a user who has at least role n at this moment.
 * - `internal`: other services and the XMPP server, with `X-Service-Key`.
 */
export type AuthRule = 'user' | 'mp' | 'internal' | { readonly console: ConsoleRole } | { readonly role: ConsoleRole }

/**
 * Who may call.
 * - `none`: tokens are ignored, invalid ones too.
 * - `optional`: like `none`, but the handler gets the caller when the request has a live token of an app.
 * - a rule: it must hold. The gateway does not route endpoints that are `internal` only.
 * - `anyOf`: one of the rules must hold.
 */
export type Auth = 'none' | 'optional' | AuthRule | { readonly anyOf: readonly AuthRule[] }

/** The rules of an endpoint; one of them must hold. Empty for `none` and `optional`. */
export function rulesOf(auth: Auth): readonly AuthRule[] {
  if (auth === 'none' || auth === 'optional') return []
  return typeof auth === 'object' && 'anyOf' in auth ? auth.anyOf : [auth]
}

/**
 * True when the user service is asked at each call: for the caller's role at this moment, or because use renews the session of
 * our own pages.
 */
export const asksEachTime = (auth: Auth): boolean =>
  rulesOf(auth).some((rule) => typeof rule === 'object' || rule === 'mp')

/** True when only other services and the XMPP server may call. */
export const isInternalOnly = (auth: Auth): boolean => auth === 'internal'
