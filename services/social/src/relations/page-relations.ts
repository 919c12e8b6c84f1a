import { type ReplayedRow, type ReplayPage, streams } from '@im/contracts'
import type { replayedRelations } from '@im/contracts/social'
import { inTransaction } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { Relation } from './pair.ts'

type Row = ReplayedRow<typeof replayedRelations.pageRelations>

/** Returns a page of what all users say about others, for services that keep something of each relation. */
export async function pageRelations(
  { relations, outbox, mongoClient }: Pick<Deps, 'relations' | 'outbox' | 'mongoClient'>,
  { after = '', pageSize }: { after?: string | undefined; pageSize: number },
): Promise<ReplayPage<Row>> {
  // In one transaction, so that each pair is as of the last event whose number goes with it.
  return await inTransaction(mongoClient, async (session) => {
    // A pair has two rows at most; one more row tells whether there are more pairs.
    const found = await relations.pageAfter(after, 2 * pageSize + 1, session)
    const byPair = [...Map.groupBy(found, ({ pair }) => pair)]
    const page = byPair.slice(0, pageSize)
    const isLast = byPair.length <= pageSize
    const pairs = page.map(([pair]) => pair)
    const sequences = await outbox.lastSequences(streams.social.name, pairs, session)
    const rows = page.map(([pair, rows]) => ({
      ...{ aggregate: pair, sequence: sequences.get(pair) ?? 0, data: rowOf(pair, rows) },
    }))
    return { rows, next: isLast ? undefined : pairs.at(-1) }
  })
}

function rowOf(pair: string, rows: readonly Relation[]): Row {
  const [low, high] = pair.split(':').map(Number) as [number, number]
  const sideOf = (userId: number) => {
    const row = rows.find((one) => one.userId === userId)
    return row && { remarkName: row.remarkName, offlineNoPushMsg: row.offlineNoPushMsg }
  }
  return { low, high, ofLow: sideOf(low), ofHigh: sideOf(high) }
}
