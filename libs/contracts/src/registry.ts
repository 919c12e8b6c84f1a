import { type Contract, type Endpoint, isContract, type ServiceName } from './contract.ts'
import { type EventType, isEvent } from './events.ts'
import * as gateway from './gateway/index.ts'
import * as message from './message/index.ts'
import * as org from './org/index.ts'
import * as push from './push/index.ts'
import * as room from './room/index.ts'
import * as social from './social/index.ts'
import * as user from './user/index.ts'

/** The folders of this package. A contract or event that a folder's index exports is known to the whole fleet. */
const folders: Partial<Record<ServiceName, object>> = { gateway, user, social, room, org, message, push }

const exported = Object.values(folders).flatMap((folder) => Object.values(folder) as unknown[])

export const contracts: readonly Contract[] = exported.filter(isContract)
export const endpoints: readonly Endpoint[] = contracts.flatMap((contract) => Object.values(contract))
export const events: readonly EventType[] = exported.filter(isEvent)
