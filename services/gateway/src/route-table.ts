import type { Endpoint, ServiceName } from '@im/contracts'

export type RouteTable = ReadonlyMap<string, Endpoint>

/** Which endpoint each path from outside belongs to. Throws when two endpoints claim one path. */
export function routeTable(endpoints: readonly Endpoint[]): RouteTable {
  const table = new Map<string, Endpoint>()
  for (const endpoint of endpoints) {
    if (endpoint.auth === 'internal') continue
    for (const path of [endpoint.path, ...(endpoint.aliases ?? [])]) {
      const other = table.get(path)
      if (other)
        throw new Error(`${path} belongs to ${other.service}.${other.name} and ${endpoint.service}.${endpoint.name}`)
      table.set(path, endpoint)
    }
  }
  return table
}

/** Services that own a path of the table. */
export function ownersOf(table: RouteTable): Set<Exclude<ServiceName, 'gateway'>> {
  const names = [...table.values()].map(({ service }) => service)
  return new Set(names.filter((name) => name !== 'gateway'))
}
