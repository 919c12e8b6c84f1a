export * from './entities.ts'
export * from './events.ts'
export * from './internal-relations.ts'
