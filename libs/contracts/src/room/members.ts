import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Entity, Flag, Ids, Int, Name, PageSize, Prose, RoomRef, Self, Text, Time, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { RoomMember } from './wire-entities.ts'

const anyMember = ['RoomNotFound', 'NotRoomMember'] as const

/** Members of rooms (spec 04-room.md). */
export const roomMembers = contract('room', {
  updateMember: {
    path: '/room/member/update',
    summary: { zh: '邀请或修改群成员', en: 'Invite users (text), or change a member' },
    auth: 'user',
    params: Type.Object({
      roomId: RoomRef(),
      text: Type.Optional(Ids({ description: 'users to invite' })),
      menber: Type.Optional(
        Entity({
          userId: Type.Optional(UserId({ description: 'absent or 0: the caller' })),
          nickname: Type.Optional(Name({ maxLength: 32 })),
          remarkName: Type.Optional(
            Prose({ maxLength: 64, empty: 'blank-clears', description: 'one blank clears it' }),
          ),
          talkTime: Type.Optional(
            Time({ minimum: 0, description: 'muted until then (seconds or milliseconds); 0 lifts' }),
          ),
          sub: Type.Optional(Flag()),
          offlineNoPushMsg: Type.Optional(Flag()),
          role: Type.Optional(Int({ description: 'refused: roles have endpoints of their own' })),
        }),
      ),
    }),
    result: Nothing,
    errors: [
      ...anyMember,
      'RoomLocked',
      'MemberNotFound',
      'RoomFull',
      'JoinNeedsApproval',
      'NotFriendsCannotInvite',
      'InviteNotAllowed',
    ],
  },
  removeMember: {
    path: '/room/member/delete',
    summary: { zh: '移除群成员或退出群组', en: 'Remove a member, or leave' },
    auth: 'user',
    params: Type.Object({ roomId: RoomRef(), userId: UserId({ description: 'the own id: leave' }) }),
    result: Nothing,
    errors: [...anyMember, 'RoomLocked', 'MemberNotFound', 'OwnerCannotLeave'],
  },
  leaveRoom: {
    path: '/room/leave',
    summary: { zh: '退出群组', en: 'Leave a room' },
    auth: 'user',
    params: Type.Object({ roomId: RoomRef() }),
    result: Nothing,
    errors: [...anyMember, 'RoomLocked', 'OwnerCannotLeave'],
  },
  joinRoom: {
    path: '/room/join',
    summary: { zh: '加入群组', en: 'Join a room' },
    auth: 'user',
    params: Type.Object({ roomId: RoomRef(), type: Int({ default: 2, description: 'without effect' }) }),
    result: Nothing,
    errors: ['RoomNotFound', 'RoomLocked', 'JoinNeedsApproval', 'RoomFull'],
  },
  getMember: {
    path: '/room/member/get',
    summary: { zh: '获取成员详情', en: 'One member' },
    auth: 'user',
    safe: true,
    params: Type.Object({ roomId: RoomRef(), userId: Int({ minimum: 0, description: '0: the caller' }) }),
    result: RoomMember,
    errors: [...anyMember, 'MemberNotFound'],
  },
  listMembers: {
    path: '/room/member/list',
    summary: { zh: '获取成员列表', en: 'All members' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      roomId: RoomRef(),
      keyword: Type.Optional(Text({ trim: true, maxLength: 64, description: 'part of the nickname or remark' })),
    }),
    result: Type.Array(RoomMember),
    errors: anyMember,
  },
  pageMembers: {
    path: '/room/member/getMemberListByPage',
    summary: { zh: '分页获取成员列表', en: 'Members by page' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      roomId: RoomRef(),
      joinTime: Time({ default: 0, description: 'createTime of the last member of the page before; 0: first page' }),
      pageSize: PageSize(100),
    }),
    result: Type.Array(RoomMember),
    errors: anyMember,
  },
  setOwnSwitch: {
    path: '/room/member/setOfflineNoPushMsg',
    summary: { zh: '设置群消息免打扰或置顶', en: 'Silence or pin a room' },
    auth: 'user',
    params: Type.Object({
      roomId: RoomRef(),
      offlineNoPushMsg: Flag(),
      type: Int({ default: 0, minimum: 0, maximum: 1, description: '0 silence, 1 pin' }),
      userId: Self(),
    }),
    result: Nothing,
    errors: [...anyMember, 'RoomLocked'],
  },
  setAdmin: {
    path: '/room/set/admin',
    summary: { zh: '设置或取消管理员', en: 'Make a member an admin, or no longer' },
    auth: 'user',
    params: Type.Object({
      roomId: RoomRef(),
      touserId: UserId({ aliases: ['toUserId'] }),
      type: Int({ minimum: 2, maximum: 3, description: '2 admin, 3 member' }),
    }),
    result: Nothing,
    errors: [...anyMember, 'RoomLocked', 'OwnerOnly', 'MemberNotFound'],
  },
  setHiddenRole: {
    path: '/room/setInvisibleGuardian',
    summary: { zh: '设置或取消隐身人、监控人', en: 'Make a member invisible or a guardian, or no longer' },
    auth: 'user',
    params: Type.Object({
      roomId: RoomRef(),
      touserId: UserId({ aliases: ['toUserId'] }),
      type: Int({
        minimum: -1,
        maximum: 5,
        description: '4 invisible, -1 no longer invisible, 5 guardian, 0 no longer guardian',
      }),
    }),
    result: Nothing,
    errors: [...anyMember, 'RoomLocked', 'OwnerOnly', 'MemberNotFound'],
  },
})
