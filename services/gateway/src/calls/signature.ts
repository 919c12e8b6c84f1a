import { createHash } from 'node:crypto'
import { ContractError } from '@im/contracts'
import { constantTimeEqual, firstText, type RawParams } from '@im/service-kit'

/** How far (seconds) the time of a signed call may differ from our clock. */
const tolerance = 300

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

/** md5(apiKey + time + userId + access_token) */
export const secretWithToken = (apiKey: string, time: string, userId: number, token: string) =>
  md5(apiKey + time + userId + token)

/** md5(apiKey + time) */
export const secretWithoutToken = (apiKey: string, time: string) => md5(apiKey + time)

/**
 * Checks `time` and `secret` of a call (crypto.md §5). With a token both are required; without one they are checked only when
 * a secret is sent. /user/login/auto, which sends its token as a parameter, may be signed either way.
 */
export function checkSignature(
  apiKey: string,
  params: RawParams,
  signer: { userId: number; token: string } | undefined,
  nowSeconds: number,
): void {
  const secret = firstText(params, 'secret')
  if (!signer && !secret) return
  const time = firstText(params, 'time')
  const fails = new ContractError('SignatureInvalid')
  if (!secret || !time || !/^\d{1,12}$/.test(time) || Math.abs(Math.floor(nowSeconds) - Number(time)) > tolerance)
    throw fails
  const expected = signer
    ? [secretWithToken(apiKey, time, signer.userId, signer.token)]
    : [secretWithoutToken(apiKey, time), ownSecret(apiKey, time, params)]
  if (!expected.some((right) => constantTimeEqual(right, secret.toLowerCase()))) throw fails
}

function ownSecret(apiKey: string, time: string, params: RawParams): string {
  return md5(apiKey + time + (firstText(params, 'userId') ?? '') + (firstText(params, 'access_token') ?? ''))
}
