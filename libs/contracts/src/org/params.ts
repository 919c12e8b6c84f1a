import { Int, Name, Oid } from '../param-types.ts'

export const companyId = Oid({ notFound: 'CompanyNotFound' })
export const departmentId = Oid({ notFound: 'DepartmentNotFound' })
export const orgName = Name({ maxLength: 64 })
/** Older apps send 0 for 1. */
export const assignableRole = Int({ minimum: 0, maximum: 2, description: '1 employee, 2 manager; 0: 1' })
