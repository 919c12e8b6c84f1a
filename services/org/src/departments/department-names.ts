import { ContractError } from '@im/contracts'
import { departmentTypes } from '@im/contracts/org'
import { nameKeyOf } from '../directory/company-document.ts'
import type { DepartmentDocument } from '../directory/departments-repository.ts'

/**
 * Throws DepartmentNameTaken. The root has the name of the company, which has rules of its own. Changes of a company conflict
 * with each other, so what is free within a change stays free in it.
 */
export function demandFreeName(
  departments: readonly Pick<DepartmentDocument, 'departName' | 'type'>[],
  wanted: string,
): void {
  const isTaken = departments.some(
    ({ departName, type }) => type !== departmentTypes.root && nameKeyOf(departName) === nameKeyOf(wanted),
  )
  if (isTaken) throw new ContractError('DepartmentNameTaken')
}
