import { ContractError, type LocalizedText, Reply } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { registeredKey } from '../users/login-names.ts'
import { parseRegistered } from '../users/telephones.ts'

const free: LocalizedText = { zh: '手机号未注册', en: 'The number is not registered' }
const taken: LocalizedText = { zh: '手机号已注册', en: 'The number is registered' }

/** Succeeds when a number is free (`verifyType` 0) or registered (1), and throws Failed otherwise. Both answers have a text. */
export async function verifyTelephone(
  { users, serverConfig }: Deps,
  request: { telephone: string; areaCode: string; verifyType: number },
): Promise<Reply<undefined>> {
  const { regeditPhoneOrName } = await serverConfig.get()
  const registered = parseRegistered(request.telephone, request.areaCode, regeditPhoneOrName === 1)
  const isTaken = (await users.ownerOf(registeredKey(registered))) !== undefined
  const text = isTaken ? taken : free
  if (isTaken !== (request.verifyType === 1)) throw new ContractError('Failed', { text })
  return new Reply(undefined, { text })
}
