import { MongoClient } from 'mongodb'
import type { Sent } from './traffic.ts'

export interface ArchiveCheck {
  checked: number
  missing: number
  storedTwice: number
  /** Body, sender or receiver differ from what was sent. */
  altered: number
}

interface Stored {
  messageId: string
  body: string
  from: number
  to?: number
}

const page = 500

/** Looks up every receipted message in the archive: each must be stored exactly once, byte for byte. */
export async function checkArchive(url: string, database: string, messages: readonly Sent[]): Promise<ArchiveCheck> {
  const client = await MongoClient.connect(url)
  try {
    const collection = client.db(database).collection<Stored>('messages')
    const receipted = messages.filter((message) => message.receipts)
    const check: ArchiveCheck = { checked: receipted.length, missing: 0, storedTwice: 0, altered: 0 }
    for (let first = 0; first < receipted.length; first += page) {
      const wanted = receipted.slice(first, first + page)
      const rows = new Map<string, Stored[]>(wanted.map(({ id }) => [id, []]))
      const query = { messageId: { $in: [...rows.keys()] } }
      for await (const row of collection.find(query, { projection: { messageId: 1, body: 1, from: 1, to: 1 } }))
        rows.get(row.messageId)!.push(row)
      for (const message of wanted) {
        const [row, second] = rows.get(message.id)!
        if (!row) check.missing += 1
        else if (second) check.storedTwice += 1
        else if (row.body !== message.body || row.from !== message.from || row.to !== message.to) check.altered += 1
      }
    }
    return check
  } finally {
    await client.close()
  }
}

export function archiveFaults(check: ArchiveCheck): string[] {
  const { missing, storedTwice, altered } = check
  const faults: [number, string][] = [
    [missing, 'receipted but not stored'],
    [storedTwice, 'stored more than once'],
    [altered, 'stored otherwise than sent'],
  ]
  return faults.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
}
