import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ids, List, Name, Oid, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'
import { FriendGroup } from './entities.ts'

const groupId = Oid({ notFound: 'LabelNotFound' })
const groupName = Name({ maxLength: 32 })

/** Labels that a user sorts their friends by (spec 03-friends.md). */
export const labels = contract('social', {
  listLabels: {
    path: '/friendGroup/list',
    summary: { zh: '标签列表', en: 'Labels' },
    auth: 'user',
    safe: true,
    params: Type.Object({}),
    result: Type.Array(FriendGroup),
  },
  addLabel: {
    path: '/friendGroup/add',
    summary: { zh: '添加标签', en: 'Add a label' },
    auth: 'user',
    params: Type.Object({ groupName }),
    result: FriendGroup,
    errors: ['LabelNameTaken'],
  },
  renameLabel: {
    path: '/friendGroup/update',
    summary: { zh: '修改标签名称', en: 'Rename a label' },
    auth: 'user',
    params: Type.Object({ groupId, groupName }),
    result: Nothing,
    errors: ['LabelNotFound', 'LabelNameTaken'],
  },
  deleteLabel: {
    path: '/friendGroup/delete',
    summary: { zh: '删除标签', en: 'Delete a label' },
    auth: 'user',
    params: Type.Object({ groupId }),
    result: Nothing,
    errors: ['LabelNotFound'],
  },
  setLabelFriends: {
    path: '/friendGroup/updateGroupUserList',
    summary: { zh: '修改标签的好友', en: 'Set the friends of a label' },
    auth: 'user',
    params: Type.Object({ groupId, userIdListStr: Type.Optional(Ids({ description: 'absent: nobody' })) }),
    result: Nothing,
    errors: ['LabelNotFound'],
  },
  setFriendLabels: {
    path: '/friendGroup/updateFriend',
    summary: { zh: '修改好友的标签', en: 'Set the labels of a friend' },
    auth: 'user',
    params: Type.Object({
      toUserId: UserId(),
      groupIdStr: Type.Optional(List({ item: groupId, maxItems: 200, description: 'absent: none' })),
    }),
    result: Nothing,
    errors: ['LabelNotFound', 'NotFriends'],
  },
})
