import { ContractError, type Handlers, pickFields } from '@im/contracts'
import { profileFields, profiles } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { findUserByAccount, getUser } from '../users/find-user.ts'
import type { UserDocument } from '../users/user-document.ts'
import { isOnline, userView } from '../users/user-view.ts'
import { relationOf } from '../users/visibility.ts'
import { updateUser } from './update-user.ts'

async function show({ serverConfig }: Deps, viewerId: number, user: UserDocument) {
  const { downloadAvatarUrl } = await serverConfig.get()
  return userView(user, relationOf(viewerId, user), downloadAvatarUrl)
}

const handlers: Handlers<typeof profiles, Deps> = {
  async getUser(deps, { caller, params }) {
    if (params.userId === undefined) return show(deps, caller.userId, await getUser(deps, caller.userId))
    const user = await findUserByAccount(deps, params.userId)
    if (!user) throw new ContractError('UserNotFound')
    return show(deps, caller.userId, user)
  },

  async getUserByAccount(deps, { caller, params }) {
    const user = await findUserByAccount(deps, params.account)
    if (!user) throw new ContractError('AccountUnknown')
    return show(deps, caller.userId, user)
  },

  async updateUser(deps, { caller, params }) {
    const user = await updateUser(deps, caller.userId, {
      fields: { ...pickFields(profileFields, params), msgBackGroundUrl: params.msgBackGroundUrl },
      account: params.account,
      telephone: params.telephone,
      areaCode: params.areaCode,
      smsCode: params.randcode,
      userType: params.userType,
      payPasswordMd5: params.payPassword,
      settings: { multipleDevices: params.multipleDevices },
    })
    return show(deps, caller.userId, user)
  },

  async getOnlineState(deps, { caller, params }) {
    return isOnline(await getUser(deps, params.userId ?? caller.userId))
  },
}

export const profileRoutes = bindHandlers(profiles, handlers)
