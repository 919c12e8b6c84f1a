import { hash } from 'node:crypto'
import { constantTimeEqual } from './secrets.ts'

/** The header or form field that proves that one of our pages sent the call (transport.md §7). */
export const csrfHeader = 'x-csrf-token'
export const csrfField = 'X-CSRF-Token'

/** Derived from the access token, which no other page can read. It can't be derived from the stored id of the session. */
export const csrfTokenOf = (accessToken: string): string => hash('sha256', `csrf:${accessToken}`)

export const isCsrfToken = (accessToken: string, sent: string | undefined): boolean =>
  sent !== undefined && constantTimeEqual(csrfTokenOf(accessToken), sent)
