import { ContractError, type Handlers } from '@im/contracts'
import { userSettings } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { getUser } from '../users/find-user.ts'
import type { Settings } from '../users/user-document.ts'
import { parseFriendWays } from './friend-ways.ts'
import { updateSettings } from './update-settings.ts'

/** -1 is a value of its own here; in every other whole-number setting it leaves the field as it is. */
const minusOneIsValue: ReadonlySet<string> = new Set([
  'chatRecordTimeOut',
  'chatSyncTimeLen',
  'groupChatSyncTimeLen',
  'showLastLoginTime',
  'showTelephone',
])

function wantedSettings(params: Record<string, unknown>): Partial<Settings> {
  const { userId: _userId, friendFromList, ...values } = params
  for (const name of ['showLastLoginTime', 'showTelephone'])
    if (values[name] === 0) throw new ContractError('InvalidParams', { detail: name })
  const wanted = Object.fromEntries(
    Object.entries(values).filter(([name, value]) => value !== -1 || minusOneIsValue.has(name)),
  )
  return friendFromList === undefined ? wanted : { ...wanted, friendFromList: parseFriendWays(String(friendFromList)) }
}

const handlers: Handlers<typeof userSettings, Deps> = {
  async getSettings(deps, { caller, params }) {
    const { settings, _id } = await getUser(deps, params.userId ?? caller.userId)
    if (_id === caller.userId) return settings
    const { allowAtt, allowGreet, friendsVerify } = settings
    return { allowAtt, allowGreet, friendsVerify }
  },

  async updateSettings(deps, { caller, params }) {
    await updateSettings(deps, caller.userId, wantedSettings(params))
  },
}

export const settingsRoutes = bindHandlers(userSettings, handlers)
