import { type Handlers, RawAnswer } from '@im/contracts'
import { smsCodes } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { sendSms } from './send-sms.ts'
import { showImageCode } from './show-image-code.ts'
import { verifyTelephone } from './verify-telephone.ts'

const handlers: Handlers<typeof smsCodes, Deps> = {
  async sendSms(deps, { params, request }) {
    const { telephone, areaCode, isRegister, imgCode: imageCode } = params
    const { language, ip } = request
    const code = await sendSms(deps, { telephone, areaCode, isRegister: isRegister === 1, imageCode, language, ip })
    return { code }
  },

  verifyTelephone: (deps, { params }) => verifyTelephone(deps, params),

  async getImgCode(deps, { params }) {
    const png = await showImageCode(deps, params.telephone)
    return new RawAnswer(png, { headers: { 'content-type': 'image/png', 'cache-control': 'no-store' } })
  },
}

export const smsRoutes = bindHandlers(smsCodes, handlers)
