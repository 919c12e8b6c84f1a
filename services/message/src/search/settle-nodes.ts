import { type ClientSession, ObjectId } from 'mongodb'
import { nodeWith, type SearchNode } from './nodes-repository.ts'
import { deepestLevel, pathOf } from './owners.ts'
import { countRows } from './packed-rows.ts'
import { groupsOf, packGroups, RowGroups } from './row-groups.ts'
import { mergeOwnFilters, sealRows } from './seal-rows.ts'
import type { SearchIndex } from './search-index.ts'

/** Brings nodes that have taken in rows back to their size, and those below them that get theirs. */
export async function settleNodes(index: SearchIndex, touched: Iterable<string>): Promise<void> {
  const queue = [...new Set(touched)]
  for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
    const name = node
    const { documents, count, bytes } = await index.nodes.sizeOf(name)
    const { nodeDocuments, nodeMessages, nodeBytes } = index.limits
    const isFull = name.length < deepestLevel && (count >= nodeMessages || bytes >= nodeBytes)
    if (!isFull && documents < nodeDocuments) continue
    const { below, sealed } = await index.transaction((session) => settleOnce(index, name, isFull, session))
    for (const owner of sealed) await mergeOwnFilters(index, owner)
    queue.push(...below)
  }
}

/** Empties a node downwards, or joins its documents. Takes no more of it than fits in one transaction. */
async function settleOnce(index: SearchIndex, node: string, isFull: boolean, session: ClientSession) {
  const { nodes, limits } = index
  const taken: SearchNode[] = []
  let bytes = 0
  for await (const document of nodes.find([node], session)) {
    if (taken.length > 1 && bytes + document.bytes > limits.stepBytes) break
    taken.push(document)
    bytes += document.bytes
  }
  const byOwner = new RowGroups()
  for (const { rows } of taken) for (const group of groupsOf(rows)) byOwner.add(group.name, group.rows)
  const below = new Map<string, RowGroups>()
  const sealed: string[] = []
  for (const [owner, parts] of byOwner.groups) {
    const rows = Buffer.concat(parts)
    if (isFull && (countRows(rows) >= limits.sealMessages || rows.length >= limits.sealBytes)) {
      await sealRows(index, owner, rows, session)
      sealed.push(owner)
      continue
    }
    const next = isFull ? pathOf(owner)[node.length]! : node
    if (!below.has(next)) below.set(next, new RowGroups())
    below.get(next)!.add(owner, rows)
  }
  await nodes.add(nodesOf(below), session)
  await nodes.remove(
    taken.map(({ _id }) => _id),
    session,
  )
  // A node that was joined is done with; one of which only a part was taken comes again.
  return { below: isFull ? [node, ...below.keys()] : [], sealed }
}

/** One document for each node. */
export const nodesOf = (rows: ReadonlyMap<string, RowGroups>): SearchNode[] =>
  [...rows].map(([node, { groups }]) => nodeWith(new ObjectId(), node, packGroups(groups)))
