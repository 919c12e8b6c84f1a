import type { Employee } from '@im/contracts/org'
import type { Static } from 'typebox'
import type { EmployeeDocument } from '../directory/employees-repository.ts'

/** Fields that no app changes. */
const unused = { chatNum: 0, isPause: 0, isCustomer: 0, operationType: 0 }

export function employeeView({ _id: id, ...employee }: EmployeeDocument): Static<typeof Employee> {
  const { userId, companyId, departmentId, nickname, position, role } = employee
  return { id, userId, companyId, departmentId, nickname, position, role, ...unused }
}
