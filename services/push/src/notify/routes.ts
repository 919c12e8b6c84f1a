import type { Handlers } from '@im/contracts'
import { notifications } from '@im/contracts/push'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { givenBody } from './message-body.ts'
import { demandMayNotify, notifyUser } from './notify-user.ts'
import { sendNotice } from './send-notice.ts'

const handlers: Handlers<typeof notifications, Deps> = {
  async notify(deps, { caller, request, params: { from, to, body, ts } }) {
    await demandMayNotify(deps, { caller, isInternal: request.isInternal }, from, to)
    await notifyUser(deps, { from, to, ts, body: givenBody(body) })
  },
  async notifyByBaidu(deps, { caller, request, params: { from, to, type, content } }) {
    await demandMayNotify(deps, { caller, isInternal: request.isInternal }, from, to)
    const body = { type, content, messageId: undefined, isEncrypt: false, isReadDel: false }
    await notifyUser(deps, { from, to, body, only: 'baidu' })
  },
  sendNotice: (deps, { params: { text, body } }) => sendNotice(deps, text, givenBody(body)),
}

export const notificationRoutes = bindHandlers(notifications, handlers)
