import { ensureIndexes } from '@im/service-kit'
import type { ClientSession, Collection, Db, ObjectId } from 'mongodb'
import { countRows } from './packed-rows.ts'
import { groupsOf } from './row-groups.ts'

/**
 * Rows of a node of the tree. A node holds rows of all owners whose hash begins with its name, in a few documents; when it has
 * too many, those of each owner sink to the next node of its path, and where an owner has enough of them they become pages.
 */
export interface SearchNode {
  _id: ObjectId
  node: string
  count: number
  bytes: number
  /** Packed rows by owner, see row-groups.ts. */
  rows: Buffer
}

export interface NodeSize {
  documents: number
  count: number
  bytes: number
}

export class SearchNodes {
  readonly collection: Collection<SearchNode>

  constructor(db: Db) {
    this.collection = db.collection<SearchNode>('searchNodes', { promoteBuffers: true })
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.collection, [{ key: { node: 1, _id: 1 } }])
  }

  /** Upper nodes first, and in each of them the oldest document first. */
  find(nodes: readonly string[], session?: ClientSession) {
    return this.collection.find({ node: { $in: [...nodes] } }, { session, batchSize: 200 }).sort({ node: 1, _id: 1 })
  }

  async sizeOf(node: string): Promise<NodeSize> {
    const documents = await this.collection
      .find({ node })
      .project<{ count: number; bytes: number }>({ _id: 0, count: 1, bytes: 1 })
      .toArray()
    return {
      documents: documents.length,
      count: documents.reduce((sum, { count }) => sum + count, 0),
      bytes: documents.reduce((sum, { bytes }) => sum + bytes, 0),
    }
  }

  async add(nodes: readonly SearchNode[], session: ClientSession): Promise<void> {
    if (nodes.length) await this.collection.insertMany([...nodes], { session, ordered: false })
  }

  async replace(node: SearchNode, session: ClientSession): Promise<void> {
    await this.collection.replaceOne({ _id: node._id }, node, { session })
  }

  async remove(ids: readonly ObjectId[], session: ClientSession): Promise<void> {
    if (ids.length) await this.collection.deleteMany({ _id: { $in: [...ids] } }, { session })
  }
}

/** A document of a node with these rows. */
export function nodeWith(_id: ObjectId, node: string, rows: Buffer): SearchNode {
  let count = 0
  for (const group of groupsOf(rows)) count += countRows(group.rows)
  return { _id, node, count, bytes: rows.length, rows }
}
