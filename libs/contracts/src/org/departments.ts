import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ignored, Oid, Self } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { Department, Employee } from './entities.ts'
import { companyId, departmentId, orgName } from './params.ts'

const memberErrors = ['DepartmentNotFound', 'NotEmployee'] as const

/** Departments of companies: a tree under the root department, which has the name of the company. */
export const departments = contract('org', {
  createDepartment: {
    path: '/org/department/create',
    summary: { zh: '创建部门', en: 'Make a department' },
    auth: 'user',
    params: Type.Object({
      companyId,
      parentId: Oid({ notFound: 'DepartmentNotFound', description: 'the id of the company: under the root' }),
      departName: orgName,
      createUserId: Self(),
    }),
    result: Department,
    errors: [...memberErrors, 'CompanyNotFound', 'ManagerOnly', 'DepartmentNameTaken'],
  },
  renameDepartment: {
    path: '/org/department/modify',
    summary: { zh: '修改部门名称', en: 'Rename a department' },
    auth: 'user',
    params: Type.Object({ departmentId, dpartmentName: { ...orgName, aliases: ['departName'] } }),
    result: Department,
    errors: [...memberErrors, 'ManagerOnly', 'DepartmentProtected', 'DepartmentNameTaken'],
  },
  deleteDepartment: {
    path: '/org/department/delete',
    timeoutMs: 30_000,
    summary: { zh: '删除部门', en: 'Delete a department, those below it and their employees' },
    auth: 'user',
    params: Type.Object({ departmentId }),
    result: Nothing,
    errors: [...memberErrors, 'ManagerOnly', 'DepartmentProtected'],
  },
  listDepartments: {
    path: '/org/department/list',
    summary: { zh: '部门列表', en: 'Departments of a company, or of all companies of the caller' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      companyId: Type.Optional(companyId),
      pageIndex: Ignored(),
      pageSize: Ignored(),
    }),
    result: Type.Array(Department),
    errors: ['CompanyNotFound', 'NotEmployee'],
  },
  getDepartment: {
    path: '/org/department/get',
    aliases: ['/org/dpartment/get'],
    summary: { zh: '获取部门详情', en: 'One department' },
    auth: 'user',
    safe: true,
    params: Type.Object({ departmentId }),
    result: Department,
    errors: memberErrors,
  },
  listDepartmentEmployees: {
    path: '/org/departmemt/empList',
    aliases: ['/org/department/empList'],
    summary: { zh: '部门员工列表', en: 'Employees of a department' },
    auth: 'user',
    safe: true,
    params: Type.Object({ departmentId }),
    result: Type.Array(Employee),
    errors: memberErrors,
  },
  countDepartmentEmployees: {
    path: '/org/department/empNum',
    summary: { zh: '部门员工数', en: 'Number of employees of a department' },
    auth: 'user',
    safe: true,
    params: Type.Object({ departmentId }),
    result: Type.Integer(),
    errors: memberErrors,
  },
})
