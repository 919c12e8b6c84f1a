import { type Auth, rulesOf } from './auth.ts'
import type { Endpoint } from './contract.ts'
import { commonErrors, type ErrorName } from './errors.ts'

/** Errors an endpoint may answer with: its own, those that follow from its `auth`, and the common ones. */
export function errorNames({ auth, errors = [] }: Pick<Endpoint, 'auth' | 'errors'>): ErrorName[] {
  return [...new Set([...errors, ...authErrors(auth), ...commonErrors])]
}

function authErrors(auth: Auth): ErrorName[] {
  const rules = rulesOf(auth)
  if (!rules.length) return []
  const isInternal = rules.every((rule) => rule === 'internal')
  return isInternal ? ['PermissionDenied'] : ['TokenMissing', 'TokenInvalid', 'PermissionDenied']
}
