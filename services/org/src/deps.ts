import { createServiceClient, ErasedUsers, type Runtime, type ServiceClient } from '@im/service-kit'
import type { OrgConfig } from './config.ts'
import { CompaniesRepository } from './directory/companies-repository.ts'
import { DepartmentsRepository } from './directory/departments-repository.ts'
import { EmployeesRepository } from './directory/employees-repository.ts'

/** What operations of this service may use. */
export interface Deps extends Runtime<OrgConfig> {
  companies: CompaniesRepository
  departments: DepartmentsRepository
  employees: EmployeesRepository
  erasedUsers: ErasedUsers
  user: ServiceClient
}

/** How long (ms) an answer about users is waited for. */
const userTimeout = 2000

/** Puts the service together. */
export function createDeps({ config, db, now }: Runtime<OrgConfig>): Omit<Deps, keyof Runtime> {
  return {
    companies: new CompaniesRepository(db),
    departments: new DepartmentsRepository(db),
    employees: new EmployeesRepository(db),
    erasedUsers: new ErasedUsers(db, now),
    user: createServiceClient({ baseUrl: config.userUrl, serviceKeys: config.serviceKeys, timeoutMs: userTimeout }),
  }
}
