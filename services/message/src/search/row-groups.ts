import { RowReader, writeVarint } from './packed-rows.ts'

/** Packed rows under the names they belong to: each name and its rows, with their lengths before them. */
export function packGroups(groups: ReadonlyMap<string, readonly Buffer[]>): Buffer {
  const parts: Buffer[] = []
  for (const [name, rows] of groups) {
    const bytes = Buffer.from(name, 'utf8')
    const length = rows.reduce((sum, row) => sum + row.length, 0)
    if (length) parts.push(packLength(bytes.length), bytes, packLength(length), ...rows)
  }
  return Buffer.concat(parts)
}

function packLength(length: number): Buffer {
  const bytes = Buffer.alloc(8)
  return bytes.subarray(0, writeVarint(bytes, length, 0))
}

/** The groups one after the other; one that is not wanted costs nothing. */
export function* groupsOf(bytes: Buffer): Generator<{ name: string; rows: Buffer }> {
  const reader = new RowReader(bytes)
  while (reader.end < bytes.length) {
    const nameEnd = reader.readVarint() + reader.end
    const name = bytes.toString('utf8', reader.end, nameEnd)
    reader.end = nameEnd
    const end = reader.readVarint() + reader.end
    yield { name, rows: bytes.subarray(reader.end, end) }
    reader.end = end
  }
}

/** Collects rows by name. */
export class RowGroups {
  readonly groups = new Map<string, Buffer[]>()

  add(name: string, rows: Buffer): void {
    if (!rows.length) return
    const known = this.groups.get(name)
    if (known) known.push(rows)
    else this.groups.set(name, [rows])
  }
}
