import { ContractError } from '@im/contracts'
import { parseTelephone } from '../accounts/telephones.ts'
import type { Deps } from '../deps.ts'
import type { Limit } from '../limits/rate-counters.ts'

export interface SmsRequest {
  telephone: string
  areaCode: string
  isRegister: boolean
  imageCode?: string
  language: 'zh' | 'en'
  ip: string
}

const minuteLimit = (telephone: string): Limit => ({ key: `sms-minute:${telephone}`, max: 1, seconds: 60 })

/** Sends a code for registration or for any other purpose; gives it only where SMS_ECHO_CODE allows that, else ''. */
export async function sendSms(deps: Deps, request: SmsRequest): Promise<string> {
  const { users, counters, smsCodes, smsProvider, imageCodes, switches, log } = deps
  const number = parseTelephone(request.telephone, request.areaCode)
  const { telephone } = number
  if (switches.smsImageCode) await imageCodes.redeem(telephone, request.imageCode)
  const user = await users.byTelephone(telephone)
  if (request.isRegister && user) throw new ContractError('TelephoneTaken')
  if (!request.isRegister && !user) throw new ContractError('AccountNotFound')
  const refused = await counters.take(
    { key: `sms-ip:${request.ip}`, max: 20, seconds: 3600 },
    { key: `sms-day:${telephone}`, max: 10, seconds: 86_400 },
    minuteLimit(telephone),
  )
  if (refused)
    throw new ContractError('SmsTooFrequent', { args: [refused.waitSeconds], retryAfter: refused.waitSeconds })
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
