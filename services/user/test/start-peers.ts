import { internalFiles, internalMessages } from '@im/contracts/message'
import { internalOrg } from '@im/contracts/org'
import { internalBadges } from '@im/contracts/push'
import { internalMemberships } from '@im/contracts/room'
import { internalNewcomers, internalRelations } from '@im/contracts/social'
import { stub, stubServices } from '@im/service-kit/testing'
import type { Test } from 'tap'

/** What one user and another are to each other, as the social service would tell. */
export interface TestRelation {
  /** Status of the viewer's row; absent without a row. */
  status?: 0 | 1 | 2
  isBlocked?: boolean
  isContact?: boolean
}

export interface TestMessage {
  messageId: string
  from: number
  body: string
  type: number
  readers: number[]
  room?: string
}

export interface TestEmployment {
  userId: number
  companyId: string
  companyNo: number
  companyName: string
  notice: string
  createTime: number
  joinedAt: number
}

export interface TestRoom {
  roomId: string
  jid: string
  /** Roles of the members. */
  members: Map<number, 1 | 2 | 3 | 4>
  allowSpeakCourse: 0 | 1
}

const rowOf = (userId: number, toUserId: number, status: number) => ({
  id: 'f'.repeat(24),
  userId,
  toUserId,
  toNickname: `n${toUserId}`,
  toUserType: 0,
  remarkName: '',
  describe: '',
  status,
  blacklist: 0,
  isBeenBlack: 0,
  createTime: 1,
  modifyTime: 1,
  lastTalkTime: 0,
  msgNum: 0,
  companyId: 0,
  chatRecordTimeOut: -1,
  offlineNoPushMsg: 0,
  isOpenSnapchat: 0,
  isOpenTopChat: 0,
  openTopChatTime: 0,
  fromAddType: 0,
  groupId: 0,
  groupName: '',
  talkTime: 0,
})

/** Answers the questions of the user service as the other services do: the real contracts over real HTTP. */
export async function startPeers(t: Test, serviceKey: string) {
  const relations = new Map<string, TestRelation>()
  const counts = new Map<number, { attCount: number; fansCount: number; friendsCount: number }>()
  /** Numbers on the icons of apps. */
  const badges = new Map<number, number>()
  /** Whom each call asked counts of. */
  const countCalls: number[][] = []
  const rooms = new Map<string, TestRoom>()
  const messages: TestMessage[] = []
  /** Addresses of files that are to stay. */
  const keptFiles: string[] = []
  const state = { isAway: false }
  const employments: TestEmployment[] = []
  const handlers = [
    stub(internalOrg.listCompaniesOf, (_, { params }) => ({
      employments: employments.filter(({ userId }) => params.userIds.includes(userId)),
    })),
    stub(internalRelations.getRelations, (_, { params: { viewerId, userIds } }) => ({
      relations: userIds.map((userId) => {
        const { status, isBlocked, isContact } = relations.get(`${viewerId}:${userId}`) ?? {}
        return {
          userId,
          friends: status === undefined ? undefined : rowOf(viewerId, userId, status),
          blockedBy: isBlocked ? 1 : 0,
          contact: isContact ? 1 : 0,
        }
      }),
    })),
    stub(internalRelations.countRelations, (_, { params: { userIds } }) => {
      countCalls.push(userIds)
      const none = { attCount: 0, fansCount: 0, friendsCount: 0 }
      return { counts: userIds.map((userId) => ({ userId, ...(counts.get(userId) ?? none) })) }
    }),
    stub(internalNewcomers.welcomeUser, (_, { params: { defaultFriends = [] } }) => {
      const friends = 1 + defaultFriends.length
      return { attCount: friends, fansCount: friends, friendsCount: friends }
    }),
    stub(internalMemberships.getMembership, (_, { params: { userId, room: ref } }) => {
      const room = [...rooms.values()].find(({ jid, roomId }) => jid === ref || roomId === ref)
      const { roomId = '', jid = '', members, allowSpeakCourse = 0 } = room ?? {}
      return { exists: room ? 1 : 0, roomId, jid, role: members?.get(userId) ?? 0, allowSpeakCourse, locked: 0 }
    }),
    stub(internalMessages.readMessages, (_, { params: { userId, messageIds, room } }) => ({
      messages: messages.filter(
        (message) =>
          messageIds.includes(message.messageId) && message.readers.includes(userId) && message.room === room,
      ),
    })),
    stub(internalBadges.getBadge, (_, { params: { userId } }) => ({ count: badges.get(userId) ?? 0 })),
    stub(internalFiles.keepFiles, (_, { params: { urls } }) => void keptFiles.push(...urls)),
  ]
  const keys = { serviceKeys: [serviceKey], callerKeys: [] }
  const url = await stubServices(t, keys, handlers, () => state.isAway)
  return {
    env: { SOCIAL_URL: url, ORG_URL: url, ROOM_URL: url, MESSAGE_URL: url, PUSH_URL: url },
    relations,
    counts,
    badges,
    countCalls,
    employments,
    rooms,
    messages,
    keptFiles,
    state,
    /** What `viewer` and `user` are to each other, as `viewer` asks. */
    relate(viewer: { userId: number }, user: { userId: number }, relation: TestRelation) {
      relations.set(`${viewer.userId}:${user.userId}`, relation)
    },
    befriend(a: { userId: number }, b: { userId: number }) {
      relations.set(`${a.userId}:${b.userId}`, { status: 2 })
      relations.set(`${b.userId}:${a.userId}`, { status: 2 })
    },
  }
}
