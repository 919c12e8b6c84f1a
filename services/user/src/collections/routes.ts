import type { Handlers } from '@im/contracts'
import { collections } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { keepOf } from '../forget-user.ts'
import { addCollected } from './add-collected.ts'
import { type CollectedDocument, emojiType } from './collected-repository.ts'

const shown = ({ _id, sameAs: _sameAs, ...row }: CollectedDocument) => ({ emojiId: _id.toHexString(), ...row })

const handlers: Handlers<typeof collections, Deps> = {
  async addCollected(deps, { caller, params, deadline, signal }) {
    await keepOf(deps, caller.userId, () => addCollected(deps, caller.userId, params, { deadline, signal }))
  },

  async listEmoji({ collected }, { caller, params }) {
    return (await collected.list(caller.userId, emojiType, params)).map(shown)
  },

  async listCollected({ collected }, { caller, params }) {
    return (await collected.list(caller.userId, params.type || undefined, params)).map(shown)
  },

  async deleteCollected({ collected }, { caller, params }) {
    await collected.remove(caller.userId, params.emojiId)
  },
}

export const collectionRoutes = bindHandlers(collections, handlers)
