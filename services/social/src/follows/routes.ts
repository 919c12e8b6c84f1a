import { type Handlers, RawAnswer, Reply, type ResultOf } from '@im/contracts'
import { followOutcomes, follows } from '@im/contracts/social'
import { bindHandlers, jsonType } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { showRows } from '../relations/show-rows.ts'
import { follow } from './follow.ts'
import { followMany } from './follow-many.ts'
import { listFans } from './list-fans.ts'
import { unfollow } from './unfollow.ts'

const handlers: Handlers<typeof follows, Deps> = {
  async follow(deps, { caller, params, request }) {
    const { type, text } = followOutcomes[await follow(deps, caller.userId, params)]
    const data = { type, fromAddType: params.fromAddType }
    if (deps.config.apiProfile === 'spec') return withResultCode(type, data, text[request.language])
    return new Reply(data, { text })
  },

  async followMany(deps, { caller, params }) {
    await followMany(deps, caller.userId, params.toUserIds)
  },

  async unfollow(deps, { caller, params }) {
    await unfollow(deps, caller.userId, params.toUserId)
  },

  listFans: (deps, { caller, params }) => listFans(deps, caller.userId, params),

  async listFollowed(deps, { caller: { userId }, params }) {
    const { relations, talks } = deps
    const [rows, talked] = await Promise.all([
      relations.followedBy(userId, params.status as 0 | 1 | 2),
      talks.all(userId),
    ])
    return showRows(deps, userId, rows, talked)
  },
}

/** The envelope of API_PROFILE=spec, where the outcome is the resultCode. */
const withResultCode = (resultCode: number, data: ResultOf<(typeof follows)['follow']>, resultMsg: string) =>
  new RawAnswer(JSON.stringify({ currentTime: Date.now(), data, resultCode, resultMsg }), {
    headers: { 'content-type': jsonType },
  })

export const followRoutes = bindHandlers(follows, handlers)
