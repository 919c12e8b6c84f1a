import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ids, PageIndex, PageSize, Prose, Self, Text } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { Employee, OrgCompany } from './entities.ts'
import { companyId, orgName } from './params.ts'

const noticeContent = Prose({ maxLength: 2000 })
const list = { pageIndex: PageIndex(), pageSize: PageSize(30) }
const memberErrors = ['CompanyNotFound', 'NotEmployee'] as const

/** Companies (spec 06-org.md). */
export const companies = contract('org', {
  createCompany: {
    path: '/org/company/create',
    summary: { zh: '创建公司', en: 'Make a company' },
    auth: 'user',
    params: Type.Object({ companyName: orgName, createUserId: Self() }),
    result: OrgCompany,
    errors: ['CompanyNameTaken'],
  },
  listOwnCompanies: {
    path: '/org/company/getByUserId',
    summary: { zh: '获取用户所在的公司', en: 'Companies of the caller' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Self() }),
    result: Type.Array(OrgCompany),
  },
  setManagers: {
    path: '/org/company/setManager',
    aliases: ['/org/setManager'],
    summary: { zh: '设置公司管理员', en: 'Make employees managers' },
    auth: 'user',
    params: Type.Object({
      companyId: Type.Optional({ ...companyId, description: 'absent: the only company the caller made' }),
      managerId: Ids(),
    }),
    result: Nothing,
    errors: [...memberErrors, 'CreatorOnly', 'EmployeeNotFound'],
  },
  listManagers: {
    path: '/org/company/managerList',
    summary: { zh: '公司管理员列表', en: 'Managers of a company' },
    auth: 'user',
    safe: true,
    params: Type.Object({ companyId }),
    result: Type.Array(Employee),
    errors: memberErrors,
  },
  updateCompany: {
    path: '/org/company/modify',
    summary: { zh: '修改公司名称、公告', en: 'Rename a company, or change its notice' },
    auth: 'user',
    params: Type.Object({
      companyId,
      companyName: Type.Optional(orgName),
      noticeContent: Type.Optional(noticeContent),
    }),
    result: OrgCompany,
    errors: [...memberErrors, 'CreatorOnly', 'ManagerOnly', 'CompanyNameTaken'],
  },
  changeNotice: {
    path: '/org/company/changeNotice',
    summary: { zh: '修改公司公告', en: 'Change the notice of a company' },
    auth: 'user',
    params: Type.Object({ companyId, noticeContent }),
    result: OrgCompany,
    errors: [...memberErrors, 'ManagerOnly'],
  },
  deleteCompany: {
    path: '/org/company/delete',
    summary: { zh: '删除公司', en: 'Delete a company' },
    auth: 'user',
    params: Type.Object({ companyId, userId: Self() }),
    result: Nothing,
    errors: [...memberErrors, 'CreatorOnly'],
  },
  listCompanies: {
    path: '/org/company/list',
    summary: { zh: '公司列表', en: 'All companies' },
    auth: 'user',
    safe: true,
    params: Type.Object(list),
    result: Type.Array(OrgCompany),
  },
  searchCompanies: {
    path: '/org/company/search',
    summary: { zh: '搜索公司', en: 'Companies by a part of their name' },
    auth: 'user',
    safe: true,
    params: Type.Object({ keyworld: Text({ trim: true, maxLength: 64, aliases: ['keyword'] }), ...list }),
    result: Type.Array(OrgCompany),
    limits: [{ by: 'user', max: 60, seconds: 60 }],
  },
  getCompany: {
    path: '/org/company/get',
    summary: { zh: '获取公司详情', en: 'One company' },
    auth: 'user',
    safe: true,
    params: Type.Object({ companyId }),
    result: OrgCompany,
    errors: ['CompanyNotFound'],
  },
  quitCompany: {
    path: '/org/company/quit',
    summary: { zh: '退出公司', en: 'Quit a company' },
    auth: 'user',
    params: Type.Object({ companyId, userId: Self() }),
    result: Nothing,
    errors: [...memberErrors, 'CreatorProtected'],
  },
  countCompanyEmployees: {
    path: '/org/company/empNum',
    summary: { zh: '公司员工数', en: 'Number of employees of a company' },
    auth: 'user',
    safe: true,
    params: Type.Object({ companyId }),
    result: Type.Integer(),
    errors: memberErrors,
  },
})
