import { departments, employees } from '@im/contracts/org'
import { failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startOrg } from './start-org.ts'

test('managers make departments below others, named once in a company', async (t) => {
  const { api, people, company, departmentNames } = await startOrg(t)
  const [alice, bob, eve] = people('alice', 'bob', 'eve')
  const { companyId, rootId, homeId } = await company(alice, 'one')
  const other = await company(eve, 'two')
  await api.call(employees.addEmployees, { companyId, departmentId: homeId, userId: [bob] as never }, { as: alice })
  const make = (departName: string, parentId = companyId, as = alice) =>
    api.call(departments.createDepartment, { companyId, parentId, departName }, { as })

  const dev = await make('研发')
  t.match(dev, {
    companyId,
    parentId: rootId,
    departName: '研发',
    type: 0,
    empNum: 0,
    employees: [],
    createUserId: alice,
  })
  t.match(await make('QA', dev.id), { parentId: dev.id })
  await t.rejects(make('qa'), failure('DepartmentNameTaken'))
  await t.rejects(make('x', other.rootId), failure('DepartmentNotFound'))
  await t.rejects(make('x', 'f'.repeat(24)), failure('DepartmentNotFound'))
  await t.rejects(make('x', companyId, bob), failure('ManagerOnly'))
  await t.rejects(make('x', companyId, eve), failure('NotEmployee'))

  const rename = (departmentId: string, fields: object, as = alice) =>
    api.call(departments.renameDepartment, { departmentId, ...fields }, { as })
  t.match(await rename(dev.id, { dpartmentName: 'R&D' }), { departName: 'R&D' })
  t.match(await rename(dev.id, { departName: 'r&d' }), { departName: 'r&d' })
  await t.rejects(rename(dev.id, { dpartmentName: '财务部' }), failure('DepartmentNameTaken'))
  await t.rejects(rename(rootId, { dpartmentName: 'x' }), failure('DepartmentProtected'))
  await t.rejects(rename(dev.id, { dpartmentName: 'x' }, bob), failure('ManagerOnly'))
  await t.rejects(rename(dev.id, { dpartmentName: 'x' }, eve), failure('NotEmployee'))
  t.strictSame(await departmentNames(companyId, bob), ['one 0', '人事部 2', '财务部 0', '客服部 0', 'r&d 0', 'QA 0'])
  // Without a company: those of all companies of the caller.
  t.equal((await api.call(departments.listDepartments, {}, { as: bob })).length, 6)
  await t.rejects(api.call(departments.listDepartments, { companyId }, { as: eve }), failure('NotEmployee'))
})

test('a department is deleted with all below it and their employees, unless the creator is there', async (t) => {
  const { api, people, company, departmentNames } = await startOrg(t)
  const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
  const { companyId, rootId, homeId } = await company(alice, 'one')
  const make = async (departName: string, parentId: string) =>
    (await api.call(departments.createDepartment, { companyId, parentId, departName }, { as: alice })).id
  const top = await make('top', companyId)
  const middle = await make('middle', top)
  const low = await make('low', middle)
  const add = (departmentId: string, ...userIds: number[]) =>
    api.call(employees.addEmployees, { companyId, departmentId, userId: userIds as never }, { as: alice })
  await add(low, bob, carol)
  await add(top, dave)
  const remove = (departmentId: string, as = alice) => api.call(departments.deleteDepartment, { departmentId }, { as })
  await t.rejects(remove(top, bob), failure('ManagerOnly'))
  await t.rejects(remove(rootId), failure('DepartmentProtected'))
  await t.rejects(remove(homeId), failure('DepartmentProtected'))
  t.equal(await api.call(departments.countDepartmentEmployees, { departmentId: low }, { as: dave }), 2)
  await remove(middle)
  t.strictSame(await departmentNames(companyId, alice), ['one 0', '人事部 1', '财务部 0', '客服部 0', 'top 1'])
  t.match(await api.call(employees.listCompanyEmployees, { companyId }, { as: dave }), [
    { userId: alice },
    { userId: dave },
  ])
  await t.rejects(remove(low), failure('DepartmentNotFound'))
  await t.rejects(api.call(departments.getDepartment, { departmentId: top }, { as: bob }), failure('NotEmployee'))
  t.match(await api.call(departments.getDepartment, { departmentId: top }, { as: dave }), {
    employees: [{ userId: dave }],
  })
})

test('departments go 50 deep, and a company has 1,000 of them', async (t) => {
  const { api, people, company, deps } = await startOrg(t)
  const [alice] = people('alice')
  const { companyId } = await company(alice, 'one')
  const make = async (departName: string, parentId: string) =>
    (await api.call(departments.createDepartment, { companyId, parentId, departName }, { as: alice })).id
  let parentId = companyId
  for (let depth = 2; depth <= 50; depth++) parentId = await make(`level ${depth}`, parentId)
  await t.rejects(make('too deep', parentId), failure('InvalidParams'))
  const rows = deps.db.collection<{ _id: string }>('departments')
  const [{ _id, ...model } = { _id: '' }] = await rows.find({}).sort({ _id: -1 }).limit(1).toArray()
  const missing = 999 - (await rows.countDocuments({ companyId }))
  await rows.insertMany(Array.from({ length: missing }, (_, n) => ({ ...model, _id: `${n}`, departName: `n${n}` })))
  await make('the last one', companyId)
  await t.rejects(make('too many', companyId), failure('InvalidParams'))
})
