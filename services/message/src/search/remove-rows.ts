import { type ClientSession, ObjectId } from 'mongodb'
import { type Directory, pagesIn, withoutPages } from './filters-repository.ts'
import { nodeWith, type SearchNode } from './nodes-repository.ts'
import { type Owner, pathOf } from './owners.ts'
import { type RowReader, summaryOf, without } from './packed-rows.ts'
import type { Page } from './pages-repository.ts'
import { messageOf, type Removal } from './removals-repository.ts'
import { groupsOf, packGroups, RowGroups } from './row-groups.ts'
import { isWorn, mergeOwnFilters, sealRows } from './seal-rows.ts'
import type { SearchIndex } from './search-index.ts'

/** How long (ms) a removal waits for its message to get into the index before it is looked for again. */
const patience = 60_000

/** Takes messages that their owners have lost out of the index, a bounded part at a time. Returns how many were looked for. */
export async function removeLost(index: SearchIndex, now: number): Promise<number> {
  const { looked, worn } = await index.transaction(async (session) => {
    const due = await index.removals.due(now, index.limits.stepRemovals, session)
    if (!due.length) return { looked: 0, worn: [] as Directory[] }
    const oldest = await index.backlog.oldest(session)
    const taking = new Taking(index, session)
    const [done, later]: [string[], string[]] = [[], []]
    let looked = 0
    for (const [owner, removals] of Map.groupBy(due, (removal) => removal.owner)) {
      if (taking.bytes > index.limits.stepBytes) break
      const found = await takeOut(taking, owner, removals)
      for (const { _id } of removals) {
        looked++
        // What is older than all that waits is in no other place any more.
        const mayWait = oldest !== undefined && messageOf({ _id }) >= oldest.toHexString()
        if (found.has(messageOf({ _id })) || !mayWait) done.push(_id)
        else later.push(_id)
      }
    }
    await index.removals.remove(done, session)
    await index.removals.postpone(later, now + patience, session)
    return { looked, worn: await taking.tellFilters() }
  })
  await renew(index, worn)
  return looked
}

/** Takes these messages out of all places of one owner. Gives those that were found. */
async function takeOut(taking: Taking, owner: Owner, removals: readonly Removal[]): Promise<Set<string>> {
  const wanted = new Set(removals.map(messageOf))
  const found = new Set<string>()
  const isLost = ({ hexId }: RowReader) => wanted.has(hexId) && !!found.add(hexId)
  await taking.fromNodes(owner, isLost)
  for (const removal of removals) {
    if (found.has(messageOf(removal))) continue
    for (const page of await taking.pagesAround(owner, removal.timeSend)) await taking.fromPage(page, isLost)
  }
  return found
}

/** What one transaction takes out of the index. */
class Taking {
  bytes = 0
  readonly #index: SearchIndex
  readonly #session: ClientSession
  /** Pages that lost rows, as they are now; undefined for those that are gone. */
  readonly #pages = new Map<string, { owner: Owner; lost: number; left: Page | undefined }>()

  constructor(index: SearchIndex, session: ClientSession) {
    this.#index = index
    this.#session = session
  }

  async fromNodes(owner: Owner, isLost: (row: RowReader) => boolean): Promise<void> {
    for (const node of await this.#index.nodes.find(pathOf(owner), this.#session).toArray())
      await this.#fromNode(node, isLost, owner)
  }

  async #fromNode(node: SearchNode, isLost: (row: RowReader) => boolean, owner: Owner): Promise<void> {
    const left = new RowGroups()
    let hasLost = false
    for (const { name, rows } of groupsOf(node.rows)) {
      const kept = name === owner ? without(rows, isLost) : undefined
      hasLost ||= kept !== undefined
      left.add(name, kept ?? rows)
    }
    if (!hasLost) return
    this.bytes += node.bytes
    const rows = packGroups(left.groups)
    if (rows.length) await this.#index.nodes.replace(nodeWith(node._id, node.node, rows), this.#session)
    else await this.#index.nodes.remove([node._id], this.#session)
  }

  async pagesAround(owner: Owner, moment: number): Promise<Page[]> {
    return await this.#index.pages.around(owner, moment, this.#session).toArray()
  }

  async fromPage(page: Page, isLost: (row: RowReader) => boolean): Promise<void> {
    const { pages } = this.#index
    const rows = without(page.rows, isLost)
    if (!rows) return
    this.bytes += page.rows.length
    const left = rows.length ? { _id: page._id, owner: page.owner, rows, ...summaryOf(rows) } : undefined
    if (left) await pages.replace(left, this.#session)
    else await pages.remove([page._id], this.#session)
    const id = page._id.toHexString()
    const before = this.#pages.get(id)
    const lost = (before?.lost ?? 0) + page.count - (left?.count ?? 0)
    this.#pages.set(id, { owner: page.owner, lost, left })
  }

  /** The filters learn what their pages have lost. Gives those that are worth making anew. */
  async tellFilters(): Promise<Directory[]> {
    const worn: Directory[] = []
    const owners = new Set([...this.#pages.values()].map(({ owner }) => owner))
    for (const owner of owners)
      for (const directory of await this.#index.filters.directories(owner, this.#session)) {
        const touched = [...pagesIn(directory.bytes)].flatMap((id) => {
          const page = this.#pages.get(id)
          return page ? [{ id, ...page }] : []
        })
        if (!touched.length) continue
        const gone = new Set(touched.filter(({ left }) => !left).map(({ id }) => id))
        const changed = {
          ...directory,
          bytes: gone.size ? withoutPages(directory.bytes, gone) : directory.bytes,
          lost: touched.reduce((sum, { lost }) => sum + lost, directory.lost),
        }
        await this.#index.filters.replaceDirectory(changed, this.#session)
        if (isWorn(changed)) worn.push(changed)
      }
    return worn
  }
}

/** Makes worn filters anew: what is left of their pages becomes new pages with new filters, a bounded part at a time. */
async function renew(index: SearchIndex, worn: readonly Directory[]): Promise<void> {
  for (const { filter, owner } of worn) {
    while (await index.transaction((session) => renewPart(index, filter, session)));
    await mergeOwnFilters(index, owner)
  }
}

/** False when nothing is left of the filter. */
async function renewPart(index: SearchIndex, filter: ObjectId, session: ClientSession): Promise<boolean> {
  const directory = await index.filters.directory(filter, session)
  if (!directory) return false
  const ids = [...pagesIn(directory.bytes)]
  const taken: Page[] = []
  let bytes = 0
  for (let at = 0; at < ids.length && bytes < index.limits.sealBytes; at += 8) {
    const some = ids.slice(at, at + 8).map((id) => ObjectId.createFromHexString(id))
    const pages = await index.pages.byIds(some, session)
    taken.push(...pages)
    bytes += pages.reduce((sum, { rows }) => sum + rows.length, 0)
  }
  const { owner } = directory
  if (taken.length) await sealRows(index, owner, Buffer.concat(taken.map(({ rows }) => rows)), session)
  await index.pages.remove(
    taken.map(({ _id }) => _id),
    session,
  )
  const gone = new Set(taken.map(({ _id }) => _id.toHexString()))
  const left = withoutPages(directory.bytes, gone)
  if (taken.length && pagesIn(left).size) {
    await index.filters.replaceDirectory({ ...directory, bytes: left }, session)
    return true
  }
  await index.filters.removeFilter(filter, session)
  return false
}
