import { type Handlers, pickFields } from '@im/contracts'
import { accounts, profileFields } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { knownElsewhere } from '../elsewhere/known-elsewhere.ts'
import { endSession } from '../sessions/end-session.ts'
import { autoLogIn } from './auto-log-in.ts'
import { logIn } from './log-in.ts'
import { isUpdate, loginDevice } from './login-device.ts'
import { loginResult } from './login-result.ts'
import { registerUser } from './register-user.ts'

const handlers: Handlers<typeof accounts, Deps> = {
  async register(deps, { params, request, signal }) {
    const { telephone, areaCode, password, userType, isSmsRegister, inviteCode } = params
    const { user, opened, counts } = await registerUser(deps, {
      telephone,
      areaCode,
      passwordMd5: password,
      userType,
      profile: pickFields(profileFields, params),
      smsCode: params.smsCode ?? params.randcode ?? params.verificationCode,
      isSmsRegister: isSmsRegister === 1,
      inviteCode,
      from: loginDevice(params, request),
      signal,
    })
    return loginResult(user, opened.accessToken, { counts, companyId: 0 })
  },

  async login(deps, { params, request, signal }) {
    const { telephone: name, areaCode, password, loginType, verificationCode } = params
    const { user, opened, elsewhere } = await logIn(deps, {
      name,
      areaCode,
      passwordMd5: password,
      smsCode: loginType === 1 ? (verificationCode ?? '') : undefined,
      from: loginDevice(params, request),
      signal,
    })
    return loginResult(user, opened.accessToken, elsewhere)
  },

  async autoLogin(deps, { params, request }) {
    const { accessToken: token, ip } = request
    const { userId, serial = '' } = params
    const auto = await autoLogIn(deps, { token, userId, serial, ip })
    const { user, serialStatus, tokenExists } = auto
    if (!tokenExists) return { tokenExists: 0, serialStatus, userId: user._id }
    const isupdate = isUpdate(serial, user.lastLogin?.serial)
    const elsewhere = await knownElsewhere(deps, user)
    return { ...loginResult(user, token ?? '', elsewhere), isupdate, tokenExists: 1, serialStatus }
  },

  async logout(deps, { caller }) {
    await endSession(deps, caller)
  },
}

export const accountRoutes = bindHandlers(accounts, handlers)
