import { type ErrorName, errors } from '@im/contracts'

export { asMongoDb } from '../stand-in.ts'
export * from './count-round-trips.ts'
export * from './eventually.ts'
export * from './expiries.ts'
export * from './free-port.ts'
export * from './mentions.ts'
export * from './namespace.ts'
export * from './own-servers.ts'
export * from './publish-events.ts'
export * from './record-events.ts'
export * from './slow-proxy.ts'
export * from './stand-in-faults.ts'
export * from './start-service.ts'
export * from './stub-services.ts'
export * from './test-client.ts'
export * from './watch-queries.ts'
export * from './writes-of.ts'

/** What `t.rejects` and `t.throws` take: the error of the table with this name. */
export const failure = (name: ErrorName): { code: number } => ({ code: errors[name].code })
