import { ContractError, type Handlers, pickFields } from '@im/contracts'
import { profileFields, profiles } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { relationsTo, toStranger } from '../relations/relations.ts'
import { findUserByAccount, getUser } from '../users/find-user.ts'
import { onlineState } from '../users/user-view.ts'
import { showUser } from './show-user.ts'
import { updateDoNotDisturb } from './update-do-not-disturb.ts'
import { updateUser } from './update-user.ts'

const handlers: Handlers<typeof profiles, Deps> = {
  async getUser(deps, { caller, params, ...waiting }) {
    const ref = params.userId
    const user = ref === undefined ? await getUser(deps, caller.userId) : await findUserByAccount(deps, ref)
    if (!user) throw new ContractError('UserNotFound')
    return showUser(deps, caller.userId, user, waiting)
  },

  async getUserByAccount(deps, { caller, params, ...waiting }) {
    const user = await findUserByAccount(deps, params.account)
    if (!user) throw new ContractError('AccountUnknown')
    return showUser(deps, caller.userId, user, waiting)
  },

  async updateUser(deps, { caller, params, ...waiting }) {
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
    return showUser(deps, caller.userId, user, waiting)
  },

  async updateDoNotDisturb(deps, { caller, params, ...waiting }) {
    const user = await updateDoNotDisturb(deps, caller.userId, params.offlineNoPushMsg)
    return showUser(deps, caller.userId, user, waiting)
  },

  async getOnlineState(deps, { caller, params, ...waiting }) {
    const userId = params.userId ?? caller.userId
    const user = await getUser(deps, userId)
    // Users who are offline are shown so to everybody.
    if (!user.presence.online) return 0
    return onlineState(user, (await relationsTo(deps, caller.userId, [userId], waiting)).get(userId) ?? toStranger)
  },
}

export const profileRoutes = bindHandlers(profiles, handlers)
