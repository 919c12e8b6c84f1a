import type { Outcome } from './provider.ts'

/** What an answer code means, as the tables of the providers say it. */
export type Meaning =
  | 'accepted'
  | 'dead'
  /** Too many calls of the app. */
  | 'slow'
  /** Too many to this device. */
  | 'slow-device'
  | 'paused'
  /** The app used up what is allowed a day. */
  | 'quota'
  | 'quota-device'
  | 'credentials'
  /** As `credentials`, but the cached access token may be the reason. */
  | 'stale-access'
  /** As `credentials`, but tokens of another kind may be taken. */
  | 'credentials-token'
  | 'retry'
  | 'bad'

/** Codes by meaning, as a provider documents them. */
export type OutcomeTable = Partial<Record<Meaning, readonly (string | number)[]>>

/** The same, to look up a code. */
export function meanings(table: OutcomeTable): (code: string | number | undefined) => Meaning | undefined {
  const known = new Map<string, Meaning>()
  for (const [meaning, codes] of Object.entries(table))
    for (const code of codes ?? []) known.set(String(code), meaning as Meaning)
  return (code) => (code === undefined ? undefined : known.get(String(code)))
}

/** `reason` is logged, so it holds codes and no tokens. */
export function outcome(
  meaning: Meaning,
  reason: string,
  more: { retryAfterMs?: number; since?: number } = {},
): Outcome {
  const { retryAfterMs, since } = more
  switch (meaning) {
    case 'accepted':
      return { kind: 'accepted' }
    case 'dead':
      return { kind: 'dead', since, reason }
    case 'slow':
      return { kind: 'slow', scope: 'provider', retryAfterMs, reason }
    case 'slow-device':
      return { kind: 'slow', scope: 'device', retryAfterMs, reason }
    case 'quota':
      return { kind: 'quota', scope: 'app', reason }
    case 'quota-device':
      return { kind: 'quota', scope: 'device', reason }
    case 'stale-access':
      return { kind: 'credentials', isStaleAccess: true, reason }
    case 'credentials-token':
      return { kind: 'credentials', isOfToken: true, reason }
    case 'retry':
      return { kind: 'retry', retryAfterMs, reason }
    default:
      return { kind: meaning, reason }
  }
}

/** What an answer means for each target of a call that was refused whole because of a token: of several it may be any. */
export const tokenOutcome = (meaning: 'dead' | 'paused', reason: string, targets: number): Outcome =>
  targets > 1 ? { kind: 'unclear', reason } : outcome(meaning, reason)

/** Thrown where one thing stopped the call for all targets. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly outcome: Outcome

  constructor(refused: Outcome) {
    super('reason' in refused ? refused.reason : refused.kind)
    this.outcome = refused
  }
}
