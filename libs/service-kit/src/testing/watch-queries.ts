import type { CommandStartedEvent, Db, Document, MongoClient } from 'mongodb'
import type { Test } from 'tap'

interface Query {
  collection: string
  /** The command that finds the same documents, for `explain`. */
  finding: Document
}

/** The replicas of a service and its XMPP servers are read all at once; there are few. */
const readWhole = new Set(['replicas', 'presenceServers'])

/** EOF is the plan of a query that can find nothing, as in a collection that does not exist yet. */
const indexStages = [
  'IXSCAN',
  'IDHACK',
  'EXPRESS_IXSCAN',
  'EXPRESS_CLUSTERED_IXSCAN',
  'CLUSTERED_IXSCAN',
  'GEO_NEAR_2DSPHERE',
  'EOF',
]

const queryOf = (collection: string, filter: unknown, sort?: unknown): Query => ({
  collection,
  finding: { find: collection, filter: filter ?? {}, ...(sort ? { sort } : {}) },
})

/** Commands that look for something, and those that do not. Any other needs a case of its own. */
function queriesOf({ databaseName, commandName, command }: CommandStartedEvent, ofService: string): Query[] {
  if (databaseName === 'admin' && commandName === 'bulkWrite') return bulkQueriesOf(command, ofService)
  if (databaseName !== ofService) return []
  const collection = String(command[commandName])
  const query = (filter: unknown, sort?: unknown) => queryOf(collection, filter, sort)
  switch (commandName) {
    case 'find':
      // MongoDB refuses $near without an index, and the stand-in has none that it uses.
      if (JSON.stringify(command['filter'] ?? {}).includes('"$near"')) return []
      return [query(command['filter'], command['sort'])]
    case 'findAndModify':
      return [query(command['query'], command['sort'])]
    case 'update':
      return (command['updates'] as Document[]).map(({ q }) => query(q))
    case 'delete':
      return (command['deletes'] as Document[]).map(({ q }) => query(q))
    case 'distinct':
    case 'count':
      return Object.keys(command['query'] ?? {}).length ? [query(command['query'])] : []
    case 'aggregate': {
      if (JSON.stringify(command['pipeline']).includes('"$geoNear"')) return []
      const finding = { aggregate: collection, pipeline: command['pipeline'] as Document[], cursor: {} }
      return [{ collection, finding }]
    }
    default:
      return []
  }
}

/** What writes to several collections look for. */
function bulkQueriesOf({ ops, nsInfo }: Document, ofService: string): Query[] {
  return (ops as Document[]).flatMap(({ update, delete: removal, filter }) => {
    const [database, collection] = String(nsInfo[update ?? removal]?.ns).split(/\.(.*)/s)
    return database === ofService && collection ? [queryOf(collection, filter)] : []
  })
}

/** The same for queries that differ in values only. */
function shapeOf({ finding }: Query): string {
  const form = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(form).filter((part, n, all) => n === 0 || !isSame(part, all[n - 1]))
    if (value === null || typeof value !== 'object' || value.constructor !== Object) return typeof value
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, form(member)]))
  }
  const { find, aggregate, sort, filter, pipeline } = finding
  return JSON.stringify([find ?? aggregate, form(filter ?? pipeline), sort ?? {}])
}

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

/**
 * Records what a service under test asks its database from now on: `const queries = watchQueries(deps)`, everything once,
 * `await queries.demandIndexes(t)`. Commands are only told where NODE_ENV is `test`.
 */
export function watchQueries({ db, mongoClient }: { db: Db; mongoClient: MongoClient }) {
  const sent = new Map<string, Query>()
  const record = (event: CommandStartedEvent) => {
    for (const query of queriesOf(event, db.databaseName)) sent.set(shapeOf(query), query)
  }
  mongoClient.on('commandStarted', record)
  return {
    /** Names of the collections that were asked so far. */
    collections: () => new Set([...sent.values()].map(({ collection }) => collection)),
    /** Asserts that each kind of query that was recorded uses an index. Records no more. */
    async demandIndexes(t: Test): Promise<void> {
      mongoClient.off('commandStarted', record)
      t.ok(sent.size > 0, 'queries were recorded')
      for (const [shape, { collection, finding }] of sent) {
        if (readWhole.has(collection)) continue
        const explained = await db.command({ explain: finding, verbosity: 'queryPlanner' })
        const stages = stagesOf(explained)
        const usesIndex = !stages.has('COLLSCAN') && indexStages.some((stage) => stages.has(stage))
        t.ok(usesIndex, `${shape} uses an index: ${[...stages].join()}`)
      }
    },
  }
}

/** The stages of the plan that was chosen, inner ones included. */
function stagesOf(explained: Document): Set<string> {
  const stages = new Set<string>()
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { stage } = node as Document
    if (typeof stage === 'string') stages.add(stage)
    for (const [key, child] of Object.entries(node)) if (key !== 'rejectedPlans') visit(child)
  }
  visit(explained)
  return stages
}
