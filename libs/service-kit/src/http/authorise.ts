import { type AuthRule, type Caller, ContractError, type Endpoint, rulesOf } from '@im/contracts'
import { isCsrfToken } from './csrf.ts'

/** What is known about the caller. */
export interface Credentials {
  /** The owner of a live token. */
  caller?: Caller | undefined
  /** The token as sent, live or not. */
  token?: string | undefined
  /** The token came in a cookie. */
  byCookie?: boolean | undefined
  /** The call carries the service key. */
  isInternal: boolean
  method: string
  /** The CSRF token as sent, in its header or in a field of the form. */
  csrfToken?: string | undefined
}

/**
 * Checks whether a call is allowed (transport.md §5, §7). The gateway and the service both use it. Returns the caller that the
 * handler gets; throws TokenMissing, TokenInvalid or PermissionDenied.
 */
export function authorise(endpoint: Pick<Endpoint, 'auth' | 'safe'>, credentials: Credentials): Caller | undefined {
  const { auth } = endpoint
  const { caller, token, isInternal } = credentials
  if (auth === 'none') return undefined
  if (auth === 'optional') return caller?.kind === 'user' ? caller : undefined
  const rules = rulesOf(auth)
  if (isInternal && rules.includes('internal')) return undefined
  if (rules.every((rule) => rule === 'internal')) throw new ContractError('PermissionDenied')
  if (!caller) throw new ContractError(token ? 'TokenInvalid' : 'TokenMissing')
  if (!rules.some((rule) => holds(rule, caller))) throw new ContractError('PermissionDenied')
  if (!endpoint.safe) refuseForgery(credentials)
  return caller
}

function holds(rule: AuthRule, { kind, role = 0 }: Caller): boolean {
  if (rule === 'internal') return false
  if (rule === 'user' || rule === 'mp') return kind === rule
  if ('console' in rule) return kind === 'console' && role >= rule.console
  return kind !== 'mp' && role >= rule.role
}

/** Browsers send cookies with requests of foreign pages too, which don't know the CSRF token. */
export const isForgeable = ({ byCookie, token, csrfToken }: Pick<Credentials, 'byCookie' | 'token' | 'csrfToken'>) =>
  byCookie === true && !isCsrfToken(token ?? '', csrfToken)

function refuseForgery(credentials: Credentials): void {
  if (credentials.byCookie && credentials.method !== 'POST')
    throw new ContractError('PermissionDenied', { detail: 'a session of a cookie needs POST' })
  if (isForgeable(credentials)) throw new ContractError('PermissionDenied', { detail: 'X-CSRF-Token' })
}
