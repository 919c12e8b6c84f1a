import { ContractError } from '@im/contracts'
import { isStoreAway, type Limit, limitAddress, limitError } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { parseTelephone, telephoneKey, telephoneText } from '../users/telephones.ts'
import { SmsThrottledError } from './ask-json.ts'

export interface SmsRequest {
  telephone: string
  areaCode: string
  isRegister: boolean
  imageCode?: string
  language: 'zh' | 'en'
  ip: string
}

const addressLimit = (ip: string): Limit => ({ key: `sms-ip:${limitAddress(ip)}`, max: 20, seconds: 3600 })
/** Both count the number without its area code, so that other area codes do not allow more messages. */
const dayLimit = (number: string): Limit => ({ key: `sms-day:${number}`, max: 10, seconds: 86_400 })
const minuteLimit = (number: string): Limit => ({ key: `sms-minute:${number}`, max: 1, seconds: 60 })

/**
 * Sends a code for registration or for any other purpose. Returns the code only where SMS_ECHO_CODE allows that, else ''. A
 * refusal tells whether somebody has the number, so it counts for the address too.
 */
export async function sendSms(deps: Deps, request: SmsRequest): Promise<string> {
  const { users, rateCounters, smsCodes, smsProvider, imageCodes, smsOptions, log } = deps
  const telephone = parseTelephone(request.telephone, request.areaCode)
  const { areaCode, number } = telephone
  const key = telephoneKey(telephone)
  if (smsOptions.smsImageCode) await imageCodes.redeem(key, request.imageCode)
  const address = addressLimit(request.ip)
  await rateCounters.demand('SmsTooFrequent', address)
  const isRegistered = (await users.ownerOf(key)) !== undefined
  if (request.isRegister && isRegistered) throw new ContractError('TelephoneTaken')
  if (!request.isRegister && !isRegistered) throw new ContractError('AccountNotFound')
  const limits = [dayLimit(number), minuteLimit(number)]
  try {
    await rateCounters.demand('SmsTooFrequent', ...limits)
  } catch (error) {
    await rateCounters.giveBack(address)
    throw error
  }
  try {
    const code = await smsCodes.issue(key, request.isRegister ? 'register' : 'other')
    await smsProvider.send({
      telephone: telephoneText({ telephone }) ?? '',
      areaCode,
      phone: number,
      code,
      language: request.language,
    })
    return smsOptions.smsEchoCode ? code : ''
  } catch (error) {
    // Nobody got a message, so the next try need not wait.
    await rateCounters.giveBack(...limits)
    if (isStoreAway(error)) throw error
    log.warn({ err: error }, 'the SMS provider did not take a code')
    if (error instanceof SmsThrottledError) throw limitError('SmsTooFrequent', minuteLimit(number).seconds)
    throw new ContractError('SmsSendFailed')
  }
}
