import type { EventType, Payload } from '@im/contracts'
import { companies, departments } from '@im/contracts/org'
import { internalUsers, replayedUsers } from '@im/contracts/user'
import { eventPublisher, recordEvents, startService, stub, stubServices, testEnv } from '@im/service-kit/testing'
import type { Test } from 'tap'
import type { Deps } from '../src/deps.ts'
import { service } from '../src/service.ts'

/** The org service on real stores. Beside it is a user service that knows these people. */
export async function startOrg(t: Test, overrides: Partial<Deps> = {}) {
  const names = new Map<number, string>()
  const contactOf = (userId: number) => {
    const nickname = names.get(userId)
    const exists = nickname === undefined ? 0 : 1
    const flags = { userType: 0, allowGreet: 1, multipleDevices: 1 } as const
    return { userId, exists, status: 1, ...flags, nickname: nickname ?? '' } as const
  }
  let whenAsked = () => {}
  const userUrl = await stubServices(t, service.readConfig(testEnv()), [
    stub(internalUsers.getContacts, (_, { params }) => {
      const contacts = params.userIds.map(contactOf)
      whenAsked()
      whenAsked = () => {}
      return { contacts }
    }),
    stub(replayedUsers.pageUsers, () => ({ rows: [] })),
  ])
  let ahead = 0
  const started = await startService(t, service, {
    env: { LIMIT_FACTOR: '0', USER_URL: userUrl },
    overrides: { now: () => Date.now() + ahead, ...overrides },
  })
  const { api } = started
  let nextUserId = 10_000_001

  function person(nickname: string): number {
    const userId = nextUserId++
    names.set(userId, nickname)
    return userId
  }

  return {
    ...started,
    names,
    person,
    people: (...nicknames: string[]) => nicknames.map(person) as [number, number, number, number, number],
    publish: eventPublisher(t, started.env),
    /** What happens right after the user service has answered the next time. */
    afterNextAnswer(happens: () => void) {
      whenAsked = happens
    },
    passSeconds(seconds: number) {
      ahead += seconds * 1000
    },
    /** A company of this user, and the ids of its departments by their names. */
    async company(as: number, companyName: string) {
      const company = await api.call(companies.createCompany, { companyName }, { as })
      const home = company.departments.find(({ departName }) => departName === '人事部')
      return { companyId: company.id, rootId: company.rootDpartId[0] ?? '', homeId: home?.id ?? '' }
    },
    async departmentNames(companyId: string, as: number) {
      const found = await api.call(departments.listDepartments, { companyId }, { as })
      return found.map(({ departName, empNum }) => `${departName} ${empNum}`)
    },
    events<E extends EventType>(event: E): Promise<Payload<E>[]> {
      return recordEvents(t, started.env, event)
    },
  }
}
