import { companies, companyRenamed, departments, employees, employeesJoined, employeesLeft } from '@im/contracts/org'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startOrg } from './start-org.ts'

test('a new company has its departments, and its creator in the first of them', async (t) => {
  const { api, people, events } = await startOrg(t)
  const [alice, bob] = people('alice', 'bob')
  const joined = await events(employeesJoined)
  const company = await api.call(companies.createCompany, { companyName: ' 盈创 ', createUserId: alice }, { as: alice })
  const [root] = company.rootDpartId
  t.match(company, {
    ...{ companyName: '盈创', createUserId: alice, empNum: 1, deleteTime: 0, noticeContent: '', type: 0 },
    departments: [
      { id: root, parentId: company.id, departName: '盈创', type: 1, empNum: 0, employees: [] },
      { parentId: root, departName: '人事部', type: 0, empNum: 1 },
      { parentId: root, departName: '财务部', empNum: 0 },
      { parentId: root, departName: '客服部', type: 6, empNum: 0 },
    ],
  })
  t.match(company.departments[1]?.employees, [
    { userId: alice, nickname: 'alice', role: 3, position: '创建者', companyId: company.id, chatNum: 0 },
  ])
  const make = (companyName: string, as = bob) => api.call(companies.createCompany, { companyName }, { as })
  await t.rejects(make('盈创'), failure('CompanyNameTaken'))
  await t.rejects(
    api.call(companies.createCompany, { companyName: 'x', createUserId: alice }, { as: bob }),
    failure('PermissionDenied'),
  )
  t.match(await api.call(companies.listOwnCompanies, { userId: alice }, { as: alice }), [{ id: company.id }])
  t.strictSame(await api.call(companies.listOwnCompanies, {}, { as: bob }), [])
  await eventually(() => joined.length === 1)
  t.match(joined[0], { companyId: company.id, companyNo: 1, companyName: '盈创', userIds: [alice] })
})

test('a user makes ten companies, also when asking for more at the same moment', async (t) => {
  const { api, person } = await startOrg(t)
  const alice = person('alice')
  const answers = await Promise.allSettled(
    Array.from({ length: 14 }, (_, n) => api.call(companies.createCompany, { companyName: `c${n}` }, { as: alice })),
  )
  const made = await api.call(companies.listOwnCompanies, {}, { as: alice })
  t.ok(made.length <= 10 && made.length >= answers.filter(({ status }) => status === 'fulfilled').length)
  // A busy machine may have answered some of them too late.
  for (let n = made.length; n < 10; n++)
    await api.call(companies.createCompany, { companyName: `d${n}` }, { as: alice })
  await t.rejects(api.call(companies.createCompany, { companyName: 'x' }, { as: alice }), failure('InvalidParams'))
  const own = await api.call(companies.listOwnCompanies, {}, { as: alice })
  t.equal(own.length, 10)
  await api.call(companies.deleteCompany, { companyId: own[0]?.id }, { as: alice })
  await api.call(companies.createCompany, { companyName: 'in its place' }, { as: alice })
})

test('however many large companies a user is put into, an answer shows as many employees as one may have', async (t) => {
  const { api, people, company, deps, passSeconds } = await startOrg(t)
  const [alice, mallory] = people('alice', 'mallory')
  const own = await company(alice, 'own')
  const large: string[] = []
  for (const name of ['large', 'larger', 'largest']) {
    passSeconds(1)
    const { companyId, homeId } = await company(mallory, name)
    await api.call(employees.addEmployees, { companyId, departmentId: homeId, userId: [alice] }, { as: mallory })
    large.push(companyId)
  }
  // As if they had so many: with the one of alice the first two fill an answer.
  const sizes = [20_000, 29_000, 50_000]
  const stored = deps.db.collection<{ _id: string }>('companies')
  for (const [n, _id] of large.entries()) await stored.updateOne({ _id }, { $set: { empNum: sizes[n] } })
  const shown = (some: readonly { companyName: string; departments: readonly unknown[] }[]) =>
    some.map(({ companyName, departments }) => [companyName, departments.length > 0])
  const expected = [
    ['own', true],
    ['large', true],
    ['larger', true],
    ['largest', false],
  ]
  t.strictSame(shown(await api.call(companies.listOwnCompanies, {}, { as: alice })), expected)
  t.strictSame(shown(await api.call(companies.listCompanies, {}, { as: alice })), expected)
  const listed = await api.call(departments.listDepartments, {}, { as: alice })
  t.strictSame(new Set(listed.map(({ companyId }) => companyId)), new Set([own.companyId, ...large.slice(0, 2)]))
  const one = { companyId: large[2] as string }
  t.ok((await api.call(companies.getCompany, one, { as: alice })).departments.length, 'by itself it is shown whole')
  t.ok((await api.call(departments.listDepartments, one, { as: alice })).length)
  passSeconds(1)
  await company(alice, 'small')
  const after = shown(await api.call(companies.listOwnCompanies, {}, { as: alice }))
  t.strictSame(after, [...expected, ['small', false]], 'two thousand and the large ones are all that fits')
  await stored.updateOne({ _id: large[0] as string }, { $set: { empNum: 10_000 } })
  const fitting = shown(await api.call(companies.listOwnCompanies, {}, { as: alice }))
  t.strictSame(fitting, [...expected, ['small', true]], 'one that does not fit keeps no later one out')
})

test('of two who want the same name at the same moment, one gets it', async (t) => {
  const { api, people } = await startOrg(t)
  const makers = people('a', 'b', 'c', 'd', 'e')
  const make = (as: number, n: number) =>
    api.call(companies.createCompany, { companyName: n % 2 ? 'Same' : 'same' }, { as })
  const answers = await Promise.allSettled(makers.map(make))
  t.ok(answers.filter(({ status }) => status === 'fulfilled').length <= 1)
  for (const as of makers) await make(as, 0).catch(() => {})
  t.equal((await api.call(companies.searchCompanies, { keyworld: 'same' }, { as: makers[0] })).length, 1)
})

test('the creator renames a company, managers write its notice, and nobody else changes it', async (t) => {
  const { api, people, company, events, departmentNames } = await startOrg(t)
  const [alice, bob, carol, eve] = people('alice', 'bob', 'carol', 'eve')
  const { companyId, homeId } = await company(alice, 'one')
  await company(eve, 'taken')
  const renamed = await events(companyRenamed)
  const place = { companyId, departmentId: homeId }
  await api.call(employees.addEmployees, { ...place, userId: [bob] as never, role: 2 }, { as: alice })
  await api.call(employees.addEmployees, { ...place, userId: [carol] as never, role: 0 }, { as: bob })
  const modify = (as: number, fields: object) => api.call(companies.updateCompany, { companyId, ...fields }, { as })

  t.match(await modify(bob, { noticeContent: 'hello\nall' }), { noticeContent: 'hello\nall', noticeTime: Number })
  t.match(await api.call(companies.changeNotice, { companyId, noticeContent: 'new' }, { as: bob }), {
    noticeContent: 'new',
  })
  await t.rejects(modify(bob, { companyName: 'two' }), failure('CreatorOnly'))
  await t.rejects(modify(carol, { noticeContent: 'x' }), failure('ManagerOnly'))
  await t.rejects(modify(eve, { noticeContent: 'x' }), failure('NotEmployee'))
  await t.rejects(modify(alice, { companyName: 'taken' }), failure('CompanyNameTaken'))
  await modify(alice, { companyName: 'two', noticeContent: 'both' })
  await modify(alice, { companyName: 'two' })
  t.match(await modify(alice, { companyName: 'TWO' }), { companyName: 'TWO' })
  await modify(alice, { companyName: 'two' })
  t.match(await api.call(companies.getCompany, { companyId }, { as: carol }), {
    ...{ companyName: 'two', noticeContent: 'both', empNum: 3 },
    departments: [
      { departName: 'two', type: 1 },
      { departName: '人事部', employees: { length: 3 } },
    ],
  })
  t.strictSame(await departmentNames(companyId, carol), ['two 0', '人事部 3', '财务部 0', '客服部 0'])
  await eventually(() => renamed.length === 3)
  t.match(renamed[0], { companyId, companyName: 'two' })
})

test('managers are named by the creator and listed', async (t) => {
  const { api, people, company } = await startOrg(t)
  const [alice, bob, carol, eve] = people('alice', 'bob', 'carol', 'eve')
  const { companyId, homeId: departmentId } = await company(alice, 'one')
  await api.call(employees.addEmployees, { companyId, departmentId, userId: [bob, carol] as never }, { as: alice })
  const set = (as: number, fields: object) => api.call(companies.setManagers, fields as never, { as })
  await t.rejects(set(bob, { companyId, managerId: bob }), failure('CreatorOnly'))
  await t.rejects(set(alice, { companyId, managerId: `[${eve}]` }), failure('EmployeeNotFound'))
  // iOS names no company: it is the only one that the caller made.
  await set(alice, { managerId: `["${bob}","${eve}","${alice}"]` })
  const roles = async () =>
    (await api.call(companies.listManagers, { companyId }, { as: carol })).map(({ userId, role }) => [userId, role])
  t.strictSame(await roles(), [
    [alice, 3],
    [bob, 2],
  ])
  await set(alice, { companyId, managerId: carol })
  t.equal((await roles()).length, 3)
  await company(alice, 'second')
  await t.rejects(set(alice, { managerId: bob }), failure('MissingParam'))
  await t.rejects(set(eve, { managerId: bob }), failure('MissingParam'))
})

test('a deleted company is gone for all, its name is free, and its employees work there no more', async (t) => {
  const { api, people, company, events } = await startOrg(t)
  const [alice, bob] = people('alice', 'bob')
  const { companyId, homeId: departmentId } = await company(alice, 'one')
  await api.call(employees.addEmployees, { companyId, departmentId, userId: [bob] as never }, { as: alice })
  const left = await events(employeesLeft)
  await t.rejects(api.call(companies.deleteCompany, { companyId }, { as: bob }), failure('CreatorOnly'))
  await api.call(companies.deleteCompany, { companyId, userId: alice }, { as: alice })
  for (const as of [alice, bob]) {
    t.strictSame(await api.call(companies.listOwnCompanies, {}, { as }), [])
    await t.rejects(api.call(companies.getCompany, { companyId }, { as }), failure('CompanyNotFound'))
    await t.rejects(api.call(departments.getDepartment, { departmentId }, { as }), failure('DepartmentNotFound'))
    await t.rejects(api.call(departments.deleteDepartment, { departmentId }, { as }), failure('DepartmentNotFound'))
    await t.rejects(api.call(employees.getEmployee, { userId: alice } as never, { as }), failure('EmployeeNotFound'))
  }
  t.strictSame(await api.call(companies.listCompanies, {}, { as: bob }), [])
  await company(bob, 'one')
  await eventually(() => left.length === 1)
  t.match(left[0], { companyId, companyName: 'one', userIds: [alice, bob] })
})

test('everybody finds companies; what is in them is for their employees', async (t) => {
  const { api, deps, people, company, passSeconds } = await startOrg(t)
  const [alice, bob] = people('alice', 'bob')
  const first = await company(alice, 'Alpha (1)')
  await api.call(companies.changeNotice, { companyId: first.companyId, noticeContent: 'secret' }, { as: alice })
  passSeconds(10)
  await company(bob, 'beta alpha')
  const list = (fields: object = {}) => api.call(companies.listCompanies, fields, { as: bob })
  t.match(await list(), [
    { companyName: 'Alpha (1)', departments: [], noticeContent: '', empNum: 1 },
    { companyName: 'beta alpha', departments: { length: 4 } },
  ])
  t.match(await list({ pageIndex: 1, pageSize: 1 }), [{ companyName: 'beta alpha' }])
  const search = async (fields: object) =>
    (await api.call(companies.searchCompanies, fields, { as: bob })).map(({ companyName }) => companyName)
  t.strictSame(await search({ keyworld: 'ALPHA' }), ['Alpha (1)', 'beta alpha'])
  t.strictSame(await search({ keyword: '(1)' }), ['Alpha (1)'])
  t.strictSame(await search({ keyworld: 'ａlph' }), ['Alpha (1)', 'beta alpha'], 'width and case do not count')
  t.strictSame(await search({ keyworld: '.*' }), [])
  t.strictSame(await search({ keyworld: 'alpha', pageIndex: 1_000_000, pageSize: 1000 }), [])
  await t.rejects(search({}), failure('MissingParam'))
  await api.call(companies.updateCompany, { companyId: first.companyId, companyName: 'gamma' }, { as: alice })
  t.strictSame([await search({ keyworld: 'ALPHA' }), await search({ keyworld: 'mm' })], [['beta alpha'], ['gamma']])
  await deps.db.collection('companies').updateMany({}, { $unset: { nameGrams: 1, foldedName: 1 } })
  await deps.companies.makeAllSearchable()
  t.strictSame(await search({ keyworld: 'bet' }), ['beta alpha'], 'companies from before are found, too')
  t.match(await api.call(companies.getCompany, { companyId: first.companyId }, { as: bob }), { departments: [] })
})

test('who quits works there no more; a creator only quits when alone, which deletes the company', async (t) => {
  const { api, people, company, events } = await startOrg(t)
  const [alice, bob, eve] = people('alice', 'bob', 'eve')
  const { companyId, homeId: departmentId } = await company(alice, 'one')
  await api.call(employees.addEmployees, { companyId, departmentId, userId: [bob] as never }, { as: alice })
  const left = await events(employeesLeft)
  const quit = (as: number) => api.call(companies.quitCompany, { companyId }, { as })
  await t.rejects(quit(eve), failure('NotEmployee'))
  await t.rejects(quit(alice), failure('CreatorProtected'))
  await quit(bob)
  t.equal(await api.call(companies.countCompanyEmployees, { companyId }, { as: alice }), 1)
  t.strictSame(await api.call(companies.listOwnCompanies, {}, { as: bob }), [])
  await quit(alice)
  await t.rejects(api.call(companies.getCompany, { companyId }, { as: alice }), failure('CompanyNotFound'))
  await eventually(() => left.length === 2)
  t.match(left, [{ userIds: [bob] }, { userIds: [alice] }])
})
