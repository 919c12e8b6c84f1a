import {
  companies,
  departments,
  employeeRoles,
  employees,
  employeesJoined,
  employeesLeft,
  internalOrg,
} from '@im/contracts/org'
import { noticeUserId, userDeleted, userUpdated } from '@im/contracts/user'
import { eraseAgainAfter } from '@im/service-kit'
import { eventually, failure, startService } from '@im/service-kit/testing'
import { test } from 'tap'
import { service } from '../src/service.ts'
import { startOrg } from './start-org.ts'

test('managers add users who exist, and only the creator adds managers', async (t) => {
  const { api, people, company, events, names, deps } = await startOrg(t)
  const [alice, bob, carol, dave, eve] = people('alice', 'bob', 'carol', 'dave', 'eve')
  const { companyId, homeId, rootId } = await company(alice, 'one')
  const other = await company(eve, 'two')
  const joined = await events(employeesJoined)
  const add = (as: number, userId: unknown, more: object = {}) =>
    api.call(employees.addEmployees, { companyId, departmentId: homeId, userId: userId as never, ...more }, { as })

  names.set(noticeUserId, 'notices')
  await t.rejects(add(alice, noticeUserId), failure('EmployeeExists'))
  t.match(await add(alice, `["${bob}",10000999]`, { role: 2, roleArray: 'x' }), [
    { userId: alice, role: 3 },
    { userId: bob, role: 2, nickname: 'bob', position: '员工', companyId, departmentId: homeId, isPause: 0 },
  ])
  await t.rejects(add(bob, carol, { role: 2 }), failure('CreatorOnly'))
  await t.rejects(add(bob, carol, { role: 3 }), failure('InvalidParams'))
  await add(bob, `${carol},${bob}`, { role: 0 })
  await t.rejects(add(bob, `${carol},10000999`), failure('EmployeeExists'))
  await t.rejects(add(carol, dave), failure('ManagerOnly'))
  await t.rejects(add(eve, dave), failure('NotEmployee'))
  await t.rejects(add(bob, dave, { departmentId: other.homeId }), failure('DepartmentNotFound'))
  await t.rejects(add(bob, dave, { companyId: 'x' }), failure('CompanyNotFound'))
  await add(bob, dave, { departmentId: rootId })
  await eventually(() => joined.filter((event) => event.companyId === companyId).length === 4)
  t.match(joined.at(-1), { companyId, companyName: 'one', userIds: [dave] })

  const full = { $set: { empNum: 50_000 } }
  await deps.db.collection<{ _id: string }>('companies').updateOne({ _id: companyId }, full)
  await t.rejects(add(alice, eve), failure('InvalidParams'))
})

test('managers move and remove employees; managers are removed by the creator, and the creator by nobody', async (t) => {
  const { api, people, company, events, departmentNames } = await startOrg(t)
  const [alice, bob, carol, dave, eve] = people('alice', 'bob', 'carol', 'dave', 'eve')
  const { companyId, homeId } = await company(alice, 'one')
  const other = await company(eve, 'two')
  const left = await events(employeesLeft)
  const place = { companyId, departmentId: homeId }
  await api.call(employees.addEmployees, { ...place, userId: [bob, carol] as never, role: 2 }, { as: alice })
  await api.call(employees.addEmployees, { ...place, userId: dave as never }, { as: alice })
  const [, , finance] = await api.call(departments.listDepartments, { companyId }, { as: alice })
  const financeId = finance?.id ?? ''

  const move = (as: number, userId: number, newDepartmentId = financeId) =>
    api.call(employees.moveEmployee, { companyId, userId, newDepartmentId }, { as })
  t.match(await move(bob, dave), { userId: dave, departmentId: financeId })
  await move(bob, dave)
  t.strictSame(await departmentNames(companyId, dave), ['one 0', '人事部 3', '财务部 1', '客服部 0'])
  await t.rejects(move(dave, dave), failure('ManagerOnly'))
  await t.rejects(move(bob, eve), failure('EmployeeNotFound'))
  await t.rejects(move(bob, dave, other.homeId), failure('DepartmentNotFound'))

  const remove = (as: number, departmentId: string, ...userIds: number[]) =>
    api.call(employees.removeEmployees, { departmentId, userIds: userIds as never }, { as })
  await t.rejects(remove(dave, homeId, bob), failure('ManagerOnly'))
  await t.rejects(remove(bob, homeId, dave), failure('EmployeeNotFound'))
  await t.rejects(remove(bob, homeId, alice), failure('CreatorProtected'))
  await t.rejects(remove(bob, homeId, carol), failure('CreatorOnly'))
  await remove(bob, financeId, dave, carol)
  await remove(alice, homeId, carol, 1)
  t.strictSame(await departmentNames(companyId, bob), ['one 0', '人事部 2', '财务部 0', '客服部 0'])
  await t.rejects(api.call(employees.listCompanyEmployees, { companyId }, { as: carol }), failure('NotEmployee'))
  await eventually(() => left.length === 2)
  await remove(bob, homeId, bob)
  t.strictSame(await departmentNames(companyId, alice), ['one 0', '人事部 1', '财务部 0', '客服部 0'], 'oneself')
  t.match(left.slice(0, 2), [{ companyId, userIds: [dave] }, { userIds: [carol] }])
})

test('roles and positions', async (t) => {
  const { api, people, company } = await startOrg(t)
  const [alice, bob, carol, eve] = people('zoe', 'bob', 'carol', 'eve')
  const { companyId, homeId: departmentId } = await company(alice, 'one')
  const place = { companyId, departmentId }
  await api.call(employees.addEmployees, { ...place, userId: [carol, bob] as never }, { as: alice })
  const setRole = (as: number, userId: number, role: number) =>
    api.call(employees.setRole, { companyId, userId, role }, { as })
  t.match(await setRole(alice, bob, 2), { userId: bob, role: 2 })
  await t.rejects(setRole(bob, carol, 2), failure('CreatorOnly'))
  await t.rejects(setRole(alice, alice, 1), failure('CreatorProtected'))
  await t.rejects(setRole(alice, bob, 3), failure('InvalidParams'))
  await t.rejects(setRole(alice, eve, 1), failure('EmployeeNotFound'))
  const listed = await api.call(departments.listDepartmentEmployees, { departmentId }, { as: carol })
  t.strictSame(
    listed.map(({ nickname, role }) => [nickname, role]),
    [
      ['zoe', 3],
      ['bob', 2],
      ['carol', 1],
    ],
  )
  const roleOf = (userId: number, as = carol) => api.call(employees.getRole, { companyId, userId }, { as })
  t.strictSame([await roleOf(alice), await roleOf(bob), await roleOf(carol)], [3, 2, 1])
  await t.rejects(roleOf(eve), failure('EmployeeNotFound'))
  await t.rejects(roleOf(alice, eve), failure('NotEmployee'))
  await setRole(alice, bob, 0)
  t.equal(await roleOf(bob), 1)

  const setPosition = (as: number, fields: object) =>
    api.call(employees.setPosition, { companyId, ...fields } as never, { as })
  t.match(await setPosition(bob, { position: ' 工程师 ' }), { userId: bob, position: '工程师' })
  t.match(await setPosition(alice, { userId: carol, position: '总监' }), { userId: carol, position: '总监' })
  await t.rejects(setPosition(bob, { userId: carol, position: 'x' }), failure('ManagerOnly'))
  await t.rejects(setPosition(bob, { position: 'x'.repeat(33) }), failure('InvalidParams'))
  const page = await api.call(employees.pageEmployees, { companyId, pageIndex: 1, pageSize: 2 }, { as: bob })
  t.match(page, [{ userId: bob }])
})

test('an employee is found by id or as a user, in a company of the caller', async (t) => {
  const { api, people, company } = await startOrg(t)
  const [alice, bob, eve] = people('alice', 'bob', 'eve')
  const { companyId, homeId: departmentId } = await company(alice, 'one')
  await company(eve, 'two')
  const all = await api.call(employees.addEmployees, { companyId, departmentId, userId: bob as never }, { as: alice })
  const employeeId = all.find(({ userId }) => userId === bob)?.id ?? ''
  const get = (as: number, fields: object) => api.call(employees.getEmployee, fields as never, { as })
  for (const fields of [{ employeeId }, { userId: bob }, { userId: bob, companyId }])
    t.match(await get(alice, fields), { id: employeeId, userId: bob })
  await t.rejects(get(eve, { employeeId }), failure('NotEmployee'))
  await t.rejects(get(eve, { userId: bob, companyId }), failure('NotEmployee'))
  await t.rejects(get(eve, { userId: bob }), failure('EmployeeNotFound'))
  await t.rejects(get(alice, { employeeId: '1' }), failure('EmployeeNotFound'))
  await t.rejects(get(alice, {}), failure('MissingParam'))
})

test('names of employees follow those of the users, and deleted users work nowhere', async (t) => {
  const { api, people, company, publish, internal, deps, env } = await startOrg(t)
  const [alice, bob] = people('alice', 'bob')
  const one = await company(alice, 'one')
  const two = await company(bob, 'two')
  const add = { companyId: one.companyId, departmentId: one.homeId, userId: bob as never }
  await api.call(employees.addEmployees, add, { as: alice })
  const back = { companyId: two.companyId, departmentId: two.homeId, userId: alice as never }
  await api.call(employees.addEmployees, back, { as: bob })
  await publish(userUpdated, bob, { userId: bob, nickname: 'Robert', account: 'b', updatedAt: Date.now() })
  const names = async () =>
    (await api.call(employees.listCompanyEmployees, { companyId: one.companyId }, { as: alice })).map(
      ({ nickname }) => nickname,
    )
  await eventually(async () => (await names()).includes('Robert'))
  t.strictSame(await names(), ['alice', 'Robert'])
  const kept = await deps.db.collection('employees').findOne({ userId: bob, role: { $ne: employeeRoles.creator } })
  await publish(userDeleted, bob, { userId: bob, nickname: 'Robert', at: Date.now() })
  await eventually(async () => (await names()).length === 1)
  const { employments } = await internal.call(internalOrg.listCompaniesOf, { userIds: `${alice},${bob}` as never })
  t.match(employments, [{ userId: alice, companyId: one.companyId }])

  // A process that dies before it looks leaves who was added meanwhile.
  await deps.db.collection('employees').insertOne(kept!)
  t.equal((await names()).length, 2)
  await startService(t, service, { env, overrides: { now: () => Date.now() + eraseAgainAfter } })
  await eventually(async () => (await names()).length === 1)
})

test('who is renamed or deleted while they are added, after the event was heard, is not kept as before', async (t) => {
  const { api, people, company, names, afterNextAnswer, deps } = await startOrg(t)
  const [alice, bob, carol, dave] = people('alice', 'bob', 'carol', 'dave')
  const { companyId, homeId: departmentId } = await company(alice, 'one')
  afterNextAnswer(() => {
    names.delete(bob)
    names.set(carol, 'Carola')
  })
  const userId = [bob, carol].join() as never
  const added = await api.call(employees.addEmployees, { companyId, departmentId, userId }, { as: alice })
  const staff = ['alice', 'Carola']
  t.strictSame(
    added.map(({ nickname }) => nickname),
    staff,
  )
  // An answer that comes behind a newer event.
  const late = { was: 'carol', nickname: 'Caro' }
  await deps.outbox.commit((change) => deps.employees.correctName(carol, late, change))
  const all = await api.call(employees.listCompanyEmployees, { companyId }, { as: alice })
  t.strictSame(
    all.map(({ nickname }) => nickname),
    staff,
  )
  t.equal(await api.call(companies.countCompanyEmployees, { companyId }, { as: alice }), 2)

  afterNextAnswer(() => names.delete(dave))
  await company(dave, 'two')
  await company(alice, 'two')
})

test('other services learn who works where, and who are colleagues', async (t) => {
  const { api, internal, people, company, passSeconds } = await startOrg(t)
  const [alice, bob, carol] = people('alice', 'bob', 'carol')
  const one = await company(alice, 'one')
  passSeconds(10)
  const two = await company(alice, 'two')
  await api.call(
    employees.addEmployees,
    { companyId: two.companyId, departmentId: two.homeId, userId: bob as never },
    { as: alice },
  )
  await company(carol, 'three')
  const { employments } = await internal.call(internalOrg.listCompaniesOf, { userIds: `${bob},${alice},9` as never })
  t.match(employments, [
    { userId: alice, companyNo: 1, companyName: 'one', companyId: one.companyId },
    { userId: alice, companyNo: 2, companyName: 'two' },
    { userId: bob, companyNo: 2, companyId: two.companyId },
  ])
  const pairs = [`${alice}:${bob}`, `${bob}:${alice}`, `${alice}:${carol}`, `${bob}:9`]
  t.strictSame(await internal.call(internalOrg.findColleagues, { pairs: pairs.join() as never }), {
    colleagues: pairs.slice(0, 2),
  })
  await t.rejects(
    api.call(internalOrg.findColleagues, { pairs: pairs.join() as never }, { as: alice }),
    failure('PermissionDenied'),
  )
})
