import { Type } from 'typebox'
import { UnixSeconds } from '../result-types.ts'

/** Entities of spec 06-org.md. */

/** Roles in a company. */
export const employeeRoles = { employee: 1, manager: 2, creator: 3 } as const
export type EmployeeRole = (typeof employeeRoles)[keyof typeof employeeRoles]

/** Kinds of departments. */
export const departmentTypes = { normal: 0, root: 1, branch: 2, default: 5, customerService: 6 } as const

export const Employee = Type.Object({
  id: Type.String(),
  userId: Type.Integer(),
  companyId: Type.String(),
  departmentId: Type.String(),
  nickname: Type.String(),
  position: Type.String(),
  role: Type.Integer({ description: '1 employee, 2 manager, 3 creator' }),
  chatNum: Type.Integer(),
  isPause: Type.Integer(),
  isCustomer: Type.Integer(),
  operationType: Type.Integer(),
})

export const Department = Type.Object({
  id: Type.String(),
  companyId: Type.String(),
  parentId: Type.String({ description: 'of the root: the id of the company' }),
  departName: Type.String(),
  createUserId: Type.Integer(),
  createTime: UnixSeconds(),
  empNum: Type.Integer({ description: 'employees of the department itself' }),
  type: Type.Integer({ description: '0 normal, 1 root, 2 branch, 5 default, 6 customer service' }),
  employees: Type.Array(Employee),
})

export const OrgCompany = Type.Object({
  id: Type.String(),
  companyName: Type.String(),
  createUserId: Type.Integer(),
  createTime: UnixSeconds(),
  deleteUserId: Type.Integer(),
  deleteTime: UnixSeconds(),
  departments: Type.Array(Department),
  empNum: Type.Integer(),
  noticeContent: Type.String(),
  noticeTime: UnixSeconds(),
  rootDpartId: Type.Array(Type.String()),
  type: Type.Integer({ description: '5: open to all new users' }),
})
