import { ContractError } from '@im/contracts'
import { companies, departments, employees } from '@im/contracts/org'
import { inTransaction } from '@im/service-kit'
import fc from 'fast-check'
import { test } from 'tap'
import { pathToRoot } from '../src/departments/department-tree.ts'
import type { CompanyDocument } from '../src/directory/company-document.ts'
import type { DepartmentDocument } from '../src/directory/departments-repository.ts'
import type { EmployeeDocument } from '../src/directory/employees-repository.ts'
import { startOrg } from './start-org.ts'

const actions = ['add', 'remove', 'move', 'quit', 'make', 'delete', 'promote'] as const
const someAct = fc.record({ action: fc.constantFrom(...actions), whom: fc.nat(4), where: fc.nat(5) })
type Act = typeof someAct extends fc.Arbitrary<infer A> ? A : never

/** Refusals are part of the story. */
function mustBeRefusal(error: unknown): void {
  if (!(error instanceof ContractError) || error.errorName === 'InternalError') throw error
}

test('whatever happens at the same time, counts are right and every department hangs below the root', async (t) => {
  const { api, people, company, deps, person } = await startOrg(t)
  const everybody = people('a', 'b', 'c', 'd', 'e')
  let made = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(someAct, { minLength: 2, maxLength: 8 }), { minLength: 1, maxLength: 4 }),
      async (rounds) => {
        const creator = person('creator')
        const { companyId } = await company(creator, `company ${made++}`)
        for (const round of rounds) {
          const found = await api.call(departments.listDepartments, { companyId }, { as: creator })
          const ids = found.map(({ id }) => id)
          await Promise.all(round.map((act) => perform(companyId, creator, ids, act).catch(mustBeRefusal)))
          await check(companyId)
        }
      },
    ),
    { numRuns: 15, endOnFailure: true },
  )

  async function perform(companyId: string, as: number, ids: string[], { action, whom, where }: Act): Promise<unknown> {
    const userId = everybody[whom] ?? 0
    const departmentId = ids[where % ids.length] ?? ''
    switch (action) {
      case 'add':
        return api.call(
          employees.addEmployees,
          { companyId, departmentId, userId: everybody.slice(whom) as never },
          { as },
        )
      case 'remove':
        return api.call(employees.removeEmployees, { departmentId, userIds: everybody as never }, { as })
      case 'move':
        return api.call(employees.moveEmployee, { companyId, userId, newDepartmentId: departmentId }, { as })
      case 'quit':
        return api.call(companies.quitCompany, { companyId }, { as: userId })
      case 'make':
        return api.call(
          departments.createDepartment,
          { companyId, parentId: departmentId, departName: `d${made++}` },
          { as },
        )
      case 'delete':
        return api.call(departments.deleteDepartment, { departmentId }, { as })
      case 'promote':
        return api.call(companies.setManagers, { companyId, managerId: userId as never }, { as })
    }
  }

  async function check(companyId: string): Promise<void> {
    // As of one moment: an answer that came too late may still have an effect.
    const { found, all, staff } = await inTransaction(deps.mongoClient, async (session) => ({
      found: await deps.db.collection<CompanyDocument>('companies').findOne({ _id: companyId }, { session }),
      all: await deps.db.collection<DepartmentDocument>('departments').find({ companyId }, { session }).toArray(),
      staff: await deps.db.collection<EmployeeDocument>('employees').find({ companyId }, { session }).toArray(),
    }))
    t.equal(found?.empNum, staff.length)
    const wrong = all.filter(
      ({ _id, empNum }) => empNum !== staff.filter(({ departmentId }) => departmentId === _id).length,
    )
    t.strictSame(wrong, [])
    t.ok(
      all.every(({ _id }) => pathToRoot(all, _id, found?.rootDepartmentId ?? '')),
      'all hang below the root',
    )
    t.ok(
      staff.every(({ departmentId }) => all.some(({ _id }) => _id === departmentId)),
      'nobody is in a deleted one',
    )
    t.equal(new Set(staff.map(({ userId }) => userId)).size, staff.length)
    t.match(
      staff.filter(({ role }) => role === 3),
      [{ role: 3 }],
    )
  }
})
