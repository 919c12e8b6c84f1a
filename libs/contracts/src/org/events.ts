import { Type } from 'typebox'
import { event } from '../events.ts'
import { Milliseconds, UnixSeconds } from '../result-types.ts'

/** The aggregate of all these events is the companyId. */
const about = {
  companyId: Type.String({ description: '24 hex' }),
  companyNo: Type.Integer({ description: 'running number, which User.companyId shows' }),
  companyName: Type.String(),
  at: Milliseconds(),
}

const userIds = Type.Array(Type.Integer({ minimum: 1 }))

export const employeesJoined = event(
  'company.employees-joined.v1',
  'Users work for a company from now on',
  Type.Object({ ...about, userIds, joinedAt: UnixSeconds() }),
)

/** They quit or were removed, or the company was deleted. */
export const employeesLeft = event(
  'company.employees-left.v1',
  'Users do not work for a company any more',
  Type.Object({ ...about, userIds }),
)

export const companyRenamed = event('company.renamed.v1', 'A company has another name', Type.Object(about))
