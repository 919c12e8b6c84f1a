import { ContractError, type Handlers } from '@im/contracts'
import { meetings } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const handlers: Handlers<typeof meetings, Deps> = {
  async openMeeting({ serverConfig }) {
    const { jitsiServer: meetUrl } = await serverConfig.get()
    if (!meetUrl) throw new ContractError('FeatureDisabled', { detail: 'jitsiServer' })
    return { meetUrl }
  },
}

export const meetingRoutes = bindHandlers(meetings, handlers)
