import { ContractError } from '@im/contracts'

/** Ways by which apps add somebody that users can forbid: QR code, card, room, telephone, nickname. */
const waysToForbid = [1, 2, 3, 4, 5]

/** `friendFromList` is a comma list of the ways a user allows. Throws AddWayNotAllowed. */
export function demandFriendWay(friendFromList: string, way: number): void {
  if (waysToForbid.includes(way) && !friendFromList.split(',').includes(String(way)))
    throw new ContractError('AddWayNotAllowed')
}
