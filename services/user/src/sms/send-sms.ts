import { ContractError } from '@im/contracts'
import { limitAddress } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { Limit } from '../limits/rate-counters.ts'
import { parseTelephone } from '../users/telephones.ts'

export interface SmsRequest {
  telephone: string
  areaCode: string
  isRegister: boolean
  imageCode?: string
  language: 'zh' | 'en'
  ip: string
}

const addressLimit = (ip: string): Limit => ({ key: `sms-ip:${limitAddress(ip)}`, max: 20, seconds: 3600 })
const dayLimit = (telephone: string): Limit => ({ key: `sms-day:${telephone}`, max: 10, seconds: 86_400 })
const minuteLimit = (telephone: string): Limit => ({ key: `sms-minute:${telephone}`, max: 1, seconds: 60 })

/**
 * Sends a code for registration or for any other purpose; gives it only where SMS_ECHO_CODE allows that, else ''. Asking for
 * numbers that can get none counts for the address too: the answer tells whether somebody has the number.
 */
export async function sendSms(deps: Deps, request: SmsRequest): Promise<string> {
  const { users, counters, smsCodes, smsProvider, imageCodes, switches, log } = deps
  const number = parseTelephone(request.telephone, request.areaCode)
  const { telephone } = number
  if (switches.smsImageCode) await imageCodes.redeem(telephone, request.imageCode)
  const address = addressLimit(request.ip)
  await counters.demand('SmsTooFrequent', address)
  const user = await users.byTelephone(telephone)
  if (request.isRegister && user) throw new ContractError('TelephoneTaken')
  if (!request.isRegister && !user) throw new ContractError('AccountNotFound')
  try {
    await counters.demand('SmsTooFrequent', dayLimit(telephone), minuteLimit(telephone))
  } catch (error) {
    await counters.giveBack(address)
    throw error
  }
  const code = await smsCodes.issue(telephone, request.isRegister ? 'register' : 'other')
  try {
    await smsProvider.send({ ...number, code, language: request.language })
  } catch (error) {
    log.warn({ err: error }, 'the SMS provider did not take a code')
    await counters.giveBack(minuteLimit(telephone))
    throw new ContractError('SmsSendFailed')
  }
  return switches.smsEchoCode ? code : ''
}
