import type { Contract, Endpoint } from './contract.ts'
import type { EventType } from './events.ts'
import { clock } from './gateway.ts'
import { messageEvents } from './message-events.ts'
import { userEvents } from './user-events.ts'

export * from './contract.ts'
export * from './errors.ts'
export * from './events.ts'
export * from './gateway.ts'
export * from './message-events.ts'
export * from './message-types.ts'
export * from './param-types.ts'
export * from './result-types.ts'
export * from './user-events.ts'

/** Every contract of the fleet. One line each: what is not here is not served. */
export const contracts: readonly Contract[] = [clock]

export const endpoints: readonly Endpoint[] = contracts.flatMap((contract) => Object.values(contract))

export const events: readonly EventType[] = [...userEvents, ...messageEvents]
