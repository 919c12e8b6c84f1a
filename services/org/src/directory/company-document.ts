import { ObjectId } from 'mongodb'

export interface CompanyDocument {
  /** 24 hex digits. */
  _id: string
  /** Running number, for clients that read a company's id as a number. */
  companyNo: number
  companyName: string
  /** What the company is found by: the folded name and its pieces. Kept by the repository. */
  foldedName?: string
  nameGrams?: string[]
  createUserId: number
  /** Seconds. */
  createTime: number
  /** 0: not deleted. */
  deleteUserId: number
  deleteTime: number
  noticeContent: string
  noticeTime: number
  rootDepartmentId: string
  type: number
  empNum: number
  /** Rises with each change, so that two changes of a company at the same time conflict. */
  changes: number
}

/** Ids that are made later are greater, so they tell the order within a second. */
export const newId = (): string => new ObjectId().toHexString()

/** Names that look alike are the same name. */
export const nameKeyOf = (name: string): string => name.normalize('NFKC').toLowerCase()
