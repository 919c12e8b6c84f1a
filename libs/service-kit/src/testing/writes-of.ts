import type { CommandStartedEvent, Db } from 'mongodb'

/**
 * How many documents a command writes in a database, by the names of their collections. Commands are only told where NODE_ENV is
 * `test`.
 */
export function writesOf(
  { databaseName, commandName, command }: CommandStartedEvent,
  db: Pick<Db, 'databaseName'>,
): Map<string, number> {
  if (commandName === 'bulkWrite') {
    const operations = command['ops'] as { insert?: number; update?: number; delete?: number }[]
    const names = operations.map((operation) => {
      const place = operation.insert ?? operation.update ?? operation.delete
      return String(command['nsInfo'][place!].ns)
    })
    const own = names.filter((name) => name.startsWith(`${db.databaseName}.`))
    return new Map(
      [...Map.groupBy(own, (name) => name.slice(db.databaseName.length + 1))].map(([name, { length }]) => [
        name,
        length,
      ]),
    )
  }
  if (databaseName !== db.databaseName || !['insert', 'update', 'delete', 'findAndModify'].includes(commandName))
    return new Map()
  const statements: unknown[] = command['documents'] ?? command['updates'] ?? command['deletes'] ?? [{}]
  return new Map([[String(command[commandName]), statements.length]])
}
