import { companies, departments, employees, internalOrg } from '@im/contracts/org'
import { userDeleted, userUpdated } from '@im/contracts/user'
import { eventually, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { startOrg } from './start-org.ts'

test('every query the service sends uses an index', async (t) => {
  const { api, internal, people, company, deps, publish } = await startOrg(t)
  const queries = watchQueries(deps)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const as = { as: alice }
  const { companyId, homeId: departmentId } = await company(alice, 'one')
  await api.call(companies.updateCompany, { companyId, companyName: 'two', noticeContent: 'x' }, as)
  await api.call(companies.listCompanies, {}, as)
  await api.call(companies.searchCompanies, { keyworld: 'o' }, as)
  await api.call(companies.getCompany, { companyId }, as)
  const { id: newDepartmentId } = await api.call(
    departments.createDepartment,
    { companyId, parentId: companyId, departName: 'd' },
    as,
  )
  await api.call(departments.renameDepartment, { departmentId: newDepartmentId, dpartmentName: 'e' }, as)
  const people3 = { companyId, departmentId, userId: [bob, carol] as never }
  await api.call(employees.addEmployees, people3, as)
  await api.call(employees.moveEmployee, { companyId, userId: bob, newDepartmentId }, as)
  await api.call(employees.setRole, { companyId, userId: bob, role: 2 }, as)
  await api.call(employees.setPosition, { companyId, position: 'p' }, as)
  await api.call(companies.setManagers, { managerId: bob as never }, as)
  await api.call(companies.listManagers, { companyId }, as)
  await api.call(employees.pageEmployees, { companyId }, as)
  await api.call(employees.getEmployee, { userId: bob }, as)
  const employee = await api.call(employees.getEmployee, { userId: bob, companyId }, as)
  await api.call(employees.getEmployee, { employeeId: employee.id }, as)
  await api.call(employees.getRole, { companyId, userId: bob }, as)
  await api.call(departments.getDepartment, { departmentId: newDepartmentId }, as)
  await api.call(departments.deleteDepartment, { departmentId: newDepartmentId }, as)
  await internal.call(internalOrg.findColleagues, { pairs: `${alice}:${carol}` as never })
  await publish(userUpdated, carol, { userId: carol, nickname: 'C', account: 'c', updatedAt: 1 })
  await publish(userDeleted, carol, { userId: carol, nickname: 'C', at: 1 })
  await eventually(async () => (await deps.employees.everywhere([carol])).length === 0)
  await api.call(companies.quitCompany, { companyId }, as)
  for (const collection of ['companies', 'company_names', 'departments', 'employees', 'counters'])
    t.ok(queries.collections().has(collection), collection)
  await queries.demandIndexes(t)
})
