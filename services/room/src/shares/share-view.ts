import type { RoomShare } from '@im/contracts/room'
import type { Static } from 'typebox'
import type { ShareDocument } from './shares-repository.ts'

export const shareView = ({ _id: shareId, file: _file, ...share }: ShareDocument): Static<typeof RoomShare> => ({
  shareId,
  ...share,
  state: 0,
})
