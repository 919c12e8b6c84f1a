import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ids, Ignored, Name, Oid, PageIndex, PageSize, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { Employee } from './entities.ts'
import { assignableRole, companyId, departmentId } from './params.ts'

const memberErrors = ['CompanyNotFound', 'NotEmployee'] as const

/** Who works for a company, and as what. */
export const employees = contract('org', {
  addEmployees: {
    path: '/org/employee/add',
    summary: { zh: '添加员工', en: 'Add employees to a department' },
    auth: 'user',
    params: Type.Object({
      companyId,
      departmentId,
      userId: Ids(),
      role: { ...assignableRole, default: 1 },
      roleArray: Ignored(),
    }),
    result: Type.Array(Employee, { description: 'all employees of the department' }),
    errors: [...memberErrors, 'ManagerOnly', 'CreatorOnly', 'DepartmentNotFound', 'EmployeeExists'],
  },
  removeEmployees: {
    path: '/org/employee/delete',
    summary: { zh: '删除员工', en: 'Remove employees of a department' },
    auth: 'user',
    params: Type.Object({ departmentId, userIds: Ids() }),
    result: Nothing,
    errors: ['DepartmentNotFound', 'NotEmployee', 'ManagerOnly', 'CreatorOnly', 'CreatorProtected', 'EmployeeNotFound'],
  },
  moveEmployee: {
    path: '/org/employee/modifyDpart',
    summary: { zh: '更改员工部门', en: 'Move an employee to another department' },
    auth: 'user',
    params: Type.Object({ companyId, userId: UserId(), newDepartmentId: departmentId }),
    result: Employee,
    errors: [...memberErrors, 'ManagerOnly', 'DepartmentNotFound', 'EmployeeNotFound'],
  },
  setRole: {
    path: '/org/employee/modifyRole',
    summary: { zh: '更改员工角色', en: 'Make an employee a manager, or no longer' },
    auth: 'user',
    params: Type.Object({ companyId, userId: UserId(), role: assignableRole }),
    result: Employee,
    errors: [...memberErrors, 'CreatorOnly', 'CreatorProtected', 'EmployeeNotFound'],
  },
  setPosition: {
    path: '/org/employee/modifyPosition',
    summary: { zh: '更改员工职位', en: 'Change the position of an employee' },
    auth: 'user',
    params: Type.Object({
      companyId,
      userId: Type.Optional(UserId({ description: 'absent: the caller' })),
      position: Name({ maxLength: 32 }),
    }),
    result: Employee,
    errors: [...memberErrors, 'ManagerOnly', 'EmployeeNotFound'],
  },
  listCompanyEmployees: {
    path: '/org/company/employees',
    summary: { zh: '公司员工列表', en: 'All employees of a company' },
    auth: 'user',
    safe: true,
    params: Type.Object({ companyId }),
    result: Type.Array(Employee),
    errors: memberErrors,
  },
  pageEmployees: {
    path: '/org/employee/list',
    summary: { zh: '分页获取公司员工', en: 'Employees of a company by page' },
    auth: 'user',
    safe: true,
    params: Type.Object({ companyId, pageIndex: PageIndex(), pageSize: PageSize(30) }),
    result: Type.Array(Employee),
    errors: memberErrors,
  },
  getEmployee: {
    path: '/org/employee/get',
    summary: { zh: '获取员工详情', en: 'One employee, by their own id or as a user' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      employeeId: Type.Optional(Oid({ notFound: 'EmployeeNotFound' })),
      userId: Type.Optional(UserId()),
      companyId: Type.Optional({ ...companyId, description: 'absent: a company of both' }),
    }),
    result: Employee,
    errors: [...memberErrors, 'EmployeeNotFound'],
  },
  getRole: {
    path: '/org/employee/role',
    summary: { zh: '获取员工角色', en: 'Role of an employee' },
    auth: 'user',
    safe: true,
    params: Type.Object({ companyId, userId: UserId() }),
    result: Type.Integer({ description: '1 employee, 2 manager, 3 creator' }),
    errors: [...memberErrors, 'EmployeeNotFound'],
  },
})
