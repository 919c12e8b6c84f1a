/**
 * Exports what all services share. The endpoints, entities and events of one service are in the folder of its name and are
 * imported from there: `import { accounts } from '@im/contracts/user'`.
 */
export * from './auth.ts'
export * from './contract.ts'
export * from './display-text.ts'
export * from './endpoint-errors.ts'
export * from './errors.ts'
export * from './events.ts'
export * from './fields.ts'
export * from './openapi/document.ts'
export * from './param-types.ts'
export * from './registry.ts'
export * from './replay.ts'
export * from './result-types.ts'
