import { ContractError, defaultsOf } from '@im/contracts'
import { liveRooms } from '@im/contracts/message'
import { internalRelations } from '@im/contracts/social'
import { configFields, internalConfig, internalUsers, replayedUsers, type ServerConfig } from '@im/contracts/user'
import { stub, stubServices } from '@im/service-kit/testing'
import type { Test } from 'tap'

/** What the services beside this one say. They answer over HTTP by their contracts. */
export interface Peers {
  url: string
  /** Nicknames of the users there are. */
  names: Map<number, string>
  config: ServerConfig
  befriend(a: number, b: number): void
  block(blocker: number, blocked: number): void
  /** Jids of live rooms that somebody made over XMPP. */
  reserved: Map<string, number>
  /** What the live rooms were told, in order. */
  enforced: { jid: string; sequence: number }[]
  /** Called before a change is in force. */
  onEnforce: () => Promise<unknown>
  /** Called before it is told what users are to each other. */
  onRelations: () => Promise<unknown>
}

const addresses = {
  ...{ XMPPDomain: 'im.test', XMPPHost: 'im.test', apiUrl: 'http://im.test/', uploadUrl: 'http://im.test/' },
  ...{ downloadUrl: 'http://im.test/', downloadAvatarUrl: 'http://im.test/' },
}

export async function startPeers(t: Test, keys: { serviceKeys: readonly string[]; callerKeys: readonly string[] }) {
  const friends = new Set<string>()
  const blocks = new Set<string>()
  const peers: Omit<Peers, 'url'> = {
    names: new Map(),
    config: { ...defaultsOf(configFields), ...addresses },
    befriend: (a, b) => void friends.add(`${a}:${b}`).add(`${b}:${a}`),
    block: (blocker, blocked) => void blocks.add(`${blocker}:${blocked}`),
    reserved: new Map(),
    enforced: [],
    onEnforce: async () => {},
    onRelations: async () => {},
  }
  const contactOf = (userId: number) => {
    const nickname = peers.names.get(userId)
    const exists = nickname === undefined ? 0 : 1
    return {
      userId,
      exists,
      status: 1,
      userType: 0,
      allowGreet: 1,
      multipleDevices: 1,
      nickname: nickname ?? '',
    } as const
  }
  const handlers = [
    stub(internalConfig.getServerConfig, () => peers.config),
    stub(internalUsers.getContacts, (_, { params }) => ({ contacts: params.userIds.map(contactOf) })),
    stub(replayedUsers.pageUsers, () => ({ rows: [] })),
    stub(internalRelations.getRelations, async (_, { params: { viewerId, userIds = [] } }) => {
      await peers.onRelations()
      return {
        relations: userIds.map((userId) => ({
          userId,
          friends: friends.has(`${viewerId}:${userId}`) ? friendRow(viewerId, userId) : undefined,
          blockedBy: blocks.has(`${userId}:${viewerId}`) ? 1 : 0,
          contact: 0,
        })),
      }
    }),
    stub(liveRooms.claimRoom, (_, { params: { jid, userId } }) => {
      const owner = peers.reserved.get(jid)
      if (owner !== undefined && owner !== userId) throw new ContractError('JidTaken')
    }),
    stub(liveRooms.enforceRoom, async (_, { params: { jid, sequence } }) => {
      await peers.onEnforce()
      peers.enforced.push({ jid, sequence })
    }),
  ]
  const url = await stubServices(t, keys, handlers)
  return Object.assign(peers, { url }) as Peers
}

const friendRow = (userId: number, toUserId: number) => ({
  ...{ id: 'f'.repeat(24), userId, toUserId, toNickname: '', toUserType: 0, remarkName: '', describe: '' },
  ...{ status: 2, blacklist: 0, isBeenBlack: 0, createTime: 1, modifyTime: 1, lastTalkTime: 0, msgNum: 0 },
  ...{ companyId: 0, chatRecordTimeOut: -1, offlineNoPushMsg: 0, isOpenSnapchat: 0, isOpenTopChat: 0 },
  ...{ openTopChatTime: 0, fromAddType: 0, groupId: 0, groupName: '', talkTime: 0 },
})
