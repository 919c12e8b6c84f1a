import { ContractError, type Handlers } from '@im/contracts'
import { addressBook, addressBookLimits } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { showContacts } from './show-contacts.ts'
import { uploadContacts } from './upload-contacts.ts'

const handlers: Handlers<typeof addressBook, Deps> = {
  async listContacts(deps, { caller: { userId } }) {
    return showContacts(deps, userId, await deps.books.registeredOf(userId, addressBookLimits.user))
  },

  async uploadContacts(deps, { caller: { userId }, params: { uploadJsonStr, uploadStr, deleteStr } }) {
    if (!uploadJsonStr && !uploadStr && !deleteStr)
      throw new ContractError('MissingParam', { detail: 'uploadJsonStr, uploadStr or deleteStr' })
    const added = [
      ...(uploadJsonStr ?? []).map(({ toTelephone, toRemarkName }) => ({
        text: String(toTelephone ?? ''),
        remark: toRemarkName ?? '',
      })),
      ...(uploadStr ?? []).map((text) => ({ text, remark: '' })),
    ]
    if (added.length > addressBookLimits.upload)
      throw new ContractError('InvalidParams', {
        detail: `uploadJsonStr: more than ${addressBookLimits.upload} numbers`,
      })
    const { contacts, own } = await uploadContacts(deps, userId, { added, removed: deleteStr ?? [] })
    return showContacts(deps, userId, contacts, own)
  },

  async pageContacts(deps, { caller: { userId }, params }) {
    return showContacts(deps, userId, await deps.books.registeredPage(userId, params))
  },
}

export const addressBookRoutes = bindHandlers(addressBook, handlers)
