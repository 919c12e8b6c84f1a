import { hash } from 'node:crypto'
import { constantTimeEqual } from './secrets.ts'

/** Header, or field of a form, that proves that a page of ours sent the call (transport.md §7). */
export const csrfHeader = 'x-csrf-token'
export const csrfField = 'X-CSRF-Token'

/** Follows from the access token, which no other page can read; the stored id of the session does not give it away. */
export const csrfTokenOf = (accessToken: string): string => hash('sha256', `csrf:${accessToken}`)

export const isCsrfToken = (accessToken: string, sent: string | undefined): boolean =>
  sent !== undefined && constantTimeEqual(csrfTokenOf(accessToken), sent)
