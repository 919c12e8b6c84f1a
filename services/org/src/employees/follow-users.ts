import { streams } from '@im/contracts'
import { replayedUsers } from '@im/contracts/user'
import { catchUp } from '@im/service-kit'
import type { Deps } from '../deps.ts'

export const projection = { name: 'names', stream: streams.user }

/** Brings the names of employees up to date where events about users were missed. */
export const followUsers = (deps: Deps) =>
  catchUp(deps, {
    projection,
    page: (after) => deps.user.call(replayedUsers.pageUsers, { after, pageSize: 500 }),
    apply: (users, change) => deps.employees.rename(users, change),
  })
