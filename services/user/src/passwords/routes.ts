import type { Handlers } from '@im/contracts'
import { passwords } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { checkPayPassword } from './check-pay-password.ts'
import { resetPassword } from './reset-password.ts'
import { updatePassword } from './update-password.ts'
import { updatePayPassword } from './update-pay-password.ts'

const handlers: Handlers<typeof passwords, Deps> = {
  async updatePassword(deps, { caller, params, request, signal }) {
    const { oldPassword: oldMd5, newPassword: newMd5 } = params
    await updatePassword(deps, { userId: caller.userId, oldMd5, newMd5, ip: request.ip, signal })
  },

  async resetPassword(deps, { params }) {
    const { telephone, areaCode, randcode: code, newPassword: newMd5 } = params
    await resetPassword(deps, { telephone, areaCode, code, newMd5 })
  },

  async checkPayPassword(deps, { caller, params, signal }) {
    await checkPayPassword(deps, caller.userId, params.payPassword, signal)
  },

  async updatePayPassword(deps, { caller, params, signal }) {
    const { payPassword: newMd5, oldPayPassword: oldMd5 } = params
    await updatePayPassword(deps, { userId: caller.userId, oldMd5, newMd5, signal })
  },
}

export const passwordRoutes = bindHandlers(passwords, handlers)
