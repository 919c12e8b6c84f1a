import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ignored, JsonOf, List, PageIndex, PageSize } from '../param-types.ts'
import { AddressBook } from './entities.ts'

/** Most numbers of one upload, of one user, and of those that a user adds in a day: whoever takes them out again may not try all numbers. */
export const addressBookLimits = { upload: 5000, user: 20_000, day: 60_000 } as const

/** Bytes: so many numbers with their remarks are longer than other parameters. */
const maxBytes = 1024 * 1024
const numbers = (description: string) =>
  Type.Optional(List({ maxItems: addressBookLimits.upload, maxBytes, description }))

/** One contact may not make a whole book unreadable: a number may be one of JSON, and what a contact lacks null. */
const uploadedContact = Type.Object({
  toTelephone: Type.Union([Type.String(), Type.Number(), Type.Null()]),
  toRemarkName: Type.Optional(Type.Union([Type.String(), Type.Null()])),
})

/** Telephone numbers that users have in their address books (spec 11-address-book.md). */
export const addressBook = contract('social', {
  listContacts: {
    path: '/addressBook/getAll',
    summary: { zh: '通讯录中已注册的联系人', en: 'Contacts who are registered' },
    auth: 'user',
    safe: true,
    params: Type.Object({ telephone: Ignored(), pageIndex: Ignored(), pageSize: Ignored() }),
    result: Type.Array(AddressBook),
  },
  uploadContacts: {
    path: '/addressBook/upload',
    summary: { zh: '上传、删除通讯录', en: 'Add numbers to the address book, or remove some' },
    auth: 'user',
    timeoutMs: 30_000,
    params: Type.Object({
      uploadJsonStr: Type.Optional(
        JsonOf(Type.Array(uploadedContact, { maxItems: addressBookLimits.upload }), { maxBytes }),
      ),
      uploadStr: numbers('telephone numbers'),
      deleteStr: numbers('telephone numbers; they are removed before others are added'),
    }),
    result: Type.Array(AddressBook),
    // Each reads up to ten thousand numbers.
    limits: [{ by: 'user', max: 100, seconds: 3600 }],
  },
  pageContacts: {
    path: '/addressBook/getRegisterList',
    summary: { zh: '通讯录中新注册的联系人', en: 'Contacts who are registered, the newest first' },
    auth: 'user',
    safe: true,
    params: Type.Object({ pageIndex: PageIndex(), pageSize: PageSize(20) }),
    result: Type.Array(AddressBook),
  },
})
