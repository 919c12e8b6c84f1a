import { companies, departments, employees } from '@im/contracts/org'
import { profiles, userSettings } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'

test('organisations', async (t) => {
  const { people } = await startJourney(t)

  t.test('a company grows, its people find each other, and it ends', async (t) => {
    const [alice, bob, carol] = [
      await people.register('alice'),
      await people.register('bob'),
      await people.register('carol'),
    ]
    const companyName = `盈创 ${alice.userId}`
    const { id: companyId, departments: first } = await alice.call(companies.createCompany, { companyName })
    t.match(first, [{ type: 1, departName: companyName }, { empNum: 1 }, {}, {}])
    const { id: departmentId } = await alice.call(departments.createDepartment, {
      ...{ companyId, parentId: companyId, departName: '研发' },
    })
    const place = { companyId, departmentId }
    await alice.call(employees.addEmployees, { ...place, userId: `[${bob.userId}]` as never })
    await alice.call(companies.setManagers, { managerId: String(bob.userId) as never })
    t.match(await bob.call(employees.addEmployees, { ...place, userId: String(carol.userId) as never }), { length: 2 })
    await carol.call(employees.setPosition, { companyId, position: '测试' })
    await bob.call(companies.changeNotice, { companyId, noticeContent: '周五聚餐' })

    t.match(await carol.call(companies.listOwnCompanies), [
      { id: companyId, empNum: 3, noticeContent: '周五聚餐', departments: { length: 5 } },
    ])
    const listed = await carol.call(departments.listDepartmentEmployees, { departmentId })
    t.match(listed, [
      { nickname: 'bob', role: 2 },
      { nickname: 'carol', role: 1, position: '测试' },
    ])
    const { companyId: shown } = await carol.call(profiles.getUser, { userId: carol.userId })
    t.ok(shown > 0, 'the profile tells the company')
    await carol.call(profiles.updateUser, { nickname: 'Caroline' })
    await eventually(async () => {
      const [, renamed] = await bob.call(departments.listDepartmentEmployees, { departmentId })
      return renamed?.nickname === 'Caroline'
    })

    await bob.call(departments.deleteDepartment, { departmentId })
    t.strictSame(await carol.call(companies.listOwnCompanies), [])
    await t.rejects(carol.call(companies.changeNotice, { companyId, noticeContent: 'x' }), failure('NotEmployee'))
    await alice.call(companies.quitCompany, { companyId })
    await t.rejects(alice.call(companies.getCompany, { companyId }), failure('CompanyNotFound'))
    t.match(await alice.call(profiles.getUser, { userId: alice.userId }), { companyId: 0 })
  })

  t.test('colleagues write to whoever takes no messages of strangers, as long as they are colleagues', async (t) => {
    const [dave, erin] = [await people.register('dave'), await people.register('erin')]
    await erin.call(userSettings.updateSettings, { allowGreet: 0 })
    const [phoneD, phoneE] = [await dave.phone(), await erin.phone()]
    t.teardown(() => Promise.all([phoneD.hangUp(), phoneE.hangUp()]))
    await t.rejects(phoneD.say(erin.userId, 'a stranger'), /not-allowed/)
    const companyName = `firm ${dave.userId}`
    const { id: companyId, departments: made } = await dave.call(companies.createCompany, { companyName })
    const departmentId = made.find(({ departName }) => departName === '财务部')?.id ?? ''
    await dave.call(employees.addEmployees, { companyId, departmentId, userId: String(erin.userId) as never })
    await phoneD.say(erin.userId, 'welcome')
    await phoneE.hears(({ content }) => content === 'welcome')
    await erin.call(companies.quitCompany, { companyId })
    await eventually(() =>
      phoneD.say(erin.userId, 'still there?').then(
        () => false,
        ({ message }: Error) => message.includes('not-allowed'),
      ),
    )
    t.pass('a former colleague is a stranger')
  })
})
