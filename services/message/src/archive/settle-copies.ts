import { keyText, type MessageDocument, type RefusedMessage } from '../messages/message-document.ts'
import type { KnownMessage } from '../messages/messages-repository.ts'
import type { Refusal } from '../stanzas/refusal.ts'
import type { ArchiveEntry, Outcome } from './archive-batch.ts'

/** What becomes of a batch by what is known of its messages, and what is written of them. */
export interface Settled {
  outcomes: (Outcome | undefined)[]
  /** Of those whose outcome is `refused`. */
  refusals: Map<ArchiveEntry, Refusal>
  /** In the order of their log. */
  stored: MessageDocument[]
  /** Stones of messages that are refused now. */
  refused: (RefusedMessage & { tap: string })[]
  /** Stones of older refusals, in whose place something else comes. */
  replaced: KnownMessage[]
  /** Stones of older refusals that are told once more. */
  retold: KnownMessage[]
}

interface State {
  tap: string
  ts: number
  gone: boolean
  refusal?: Refusal | undefined
  /** As it was before this batch. */
  before?: KnownMessage
  isRetold?: boolean
  written?: { store: MessageDocument } | { refused: RefusedMessage & { tap: string } }
}

/**
 * One message has one fate, however many copies of it come through whichever logs, again and again. What was taken stays taken,
 * whatever a later copy would be decided. What was refused stays so for all copies that came before their sender was told, each time
 * that is told: who hears it knows that nothing sent until then is taken. Only one that came after that is another attempt. `now`
 * is when refusals of this batch are told.
 */
export function settleCopies(
  entries: readonly ArchiveEntry[],
  known: ReadonlyMap<string, KnownMessage>,
  now: number,
): Settled {
  const states = new Map<string, State>()
  for (const [key, before] of known)
    states.set(key, { tap: before.tap, ts: before.ts, gone: before.gone === true, refusal: before.refused, before })
  const refusals = new Map<ArchiveEntry, Refusal>()

  function outcomeOf(entry: ArchiveEntry): Outcome | undefined {
    const { store, refuse, mind, tap } = entry
    const one = store ?? refuse ?? mind
    if (!one) return undefined
    const key = keyText(one)
    const state = states.get(key)
    if (state?.refusal && one.ts <= state.ts) {
      refusals.set(entry, state.refusal)
      state.ts = Math.max(state.ts, now)
      state.isRetold = true
      return 'refused'
    }
    if (state && !state.refusal) {
      if (mind) return undefined
      return state.gone ? 'gone' : state.tap === tap ? 'replayed' : 'resent'
    }
    if (mind) return undefined
    const before = state?.before ? { before: state.before } : {}
    if (store) {
      states.set(key, { tap, ts: one.ts, gone: false, ...before, written: { store } })
      return 'new'
    }
    const { refusal } = refuse!
    states.set(key, {
      tap,
      ts: Math.max(one.ts, now),
      gone: true,
      refusal,
      ...before,
      written: { refused: { ...refuse!, ts: Math.max(one.ts, now), tap } },
    })
    refusals.set(entry, refusal)
    return 'refused'
  }

  const outcomes = entries.map(outcomeOf)
  const changed = [...states.values()].filter(({ written }) => written)
  const stored = new Set(changed.flatMap(({ written }) => (written && 'store' in written ? written.store : [])))
  return {
    outcomes,
    refusals,
    stored: entries.flatMap(({ store }) => (store && stored.has(store) ? store : [])),
    refused: changed.flatMap(({ written }) => (written && 'refused' in written ? written.refused : [])),
    replaced: changed.flatMap(({ before }) => before ?? []),
    retold: [...states.values()].flatMap(({ written, isRetold, before }) =>
      isRetold && !written && before ? before : [],
    ),
  }
}
