export * from './entities.ts'
export * from './events.ts'
export * from './internal-rooms.ts'
