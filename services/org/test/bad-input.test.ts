import { type Endpoint, type ErrorName, errors } from '@im/contracts'
import { companies, departments, employees } from '@im/contracts/org'
import { test } from 'tap'
import { startOrg } from './start-org.ts'

test('what cannot be right is refused by its name, and nothing is stored', async (t) => {
  const { api, people, company, deps } = await startOrg(t)
  const [alice, bob] = people('alice', 'bob')
  const { companyId, homeId: departmentId } = await company(alice, 'one')
  const rows = async () => {
    const names = ['companies', 'departments', 'employees']
    return JSON.stringify(await Promise.all(names.map((name) => deps.db.collection(name).find().toArray())))
  }
  const before = await rows()
  const refused: [ErrorName, Endpoint, object][] = [
    ['MissingParam', companies.createCompany, {}],
    ['InvalidParams', companies.createCompany, { companyName: 'x'.repeat(65) }],
    ['InvalidParams', companies.createCompany, { companyName: '\u200b' }],
    ['PermissionDenied', companies.createCompany, { companyName: 'x', createUserId: bob }],
    ['PermissionDenied', companies.listOwnCompanies, { userId: bob }],
    ['CompanyNotFound', companies.getCompany, { companyId: '{"$ne":1}' }],
    ['CompanyNotFound', companies.updateCompany, { companyId: 'f'.repeat(24), companyName: 'x' }],
    ['InvalidParams', companies.updateCompany, { companyId, noticeContent: 'x'.repeat(2001) }],
    ['MissingParam', companies.setManagers, { companyId }],
    ['InvalidParams', companies.setManagers, { companyId, managerId: '["a"]' }],
    ['InvalidParams', companies.setManagers, { companyId, managerId: '[1' }],
    ['InvalidParams', companies.searchCompanies, { keyworld: 'x'.repeat(65) }],
    ['DepartmentNotFound', departments.createDepartment, { companyId, parentId: '../', departName: 'x' }],
    ['InvalidParams', departments.createDepartment, { companyId, parentId: companyId, departName: 'x'.repeat(65) }],
    ['DepartmentNotFound', departments.deleteDepartment, { departmentId: '1' }],
    [
      'InvalidParams',
      employees.addEmployees,
      { companyId, departmentId, userId: Array.from({ length: 1001 }, (_, n) => n + 1).join() },
    ],
    ['InvalidParams', employees.addEmployees, { companyId, departmentId, userId: bob, role: 4 }],
    ['InvalidParams', employees.moveEmployee, { companyId, userId: 'x', newDepartmentId: departmentId }],
    ['InvalidParams', employees.setPosition, { companyId, position: 'x'.repeat(33) }],
    ['InvalidParams', employees.setRole, { companyId, userId: 2 ** 31, role: 1 }],
  ]
  for (const [name, endpoint, params] of refused) {
    const answer = await api.envelope(endpoint, params as never, { as: alice })
    t.equal(
      answer.resultCode,
      errors[name].code,
      `${endpoint.path} ${JSON.stringify(params).slice(0, 60)}: ${answer.detailMsg}`,
    )
  }
  t.equal(await rows(), before)
})
