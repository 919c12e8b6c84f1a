import { constantTimeEqual } from '../secrets/key-macs.ts'
import { md5 } from '../secrets/md5.ts'

export interface SignedWithdrawal {
  apiKey: string
  openid: string
  userId: number
  token: string
  /** As they were sent. */
  amount: string
  time: string
  /** md5 hex, when it is known. */
  payPasswordMd5?: string
}

/** What is signed of a withdrawal in every form: the same for all secrets of one call. */
export const signedCall = ({ token, amount, time }: Pick<SignedWithdrawal, 'token' | 'amount' | 'time'>): string =>
  md5(`${token}${amount}${time}`)

/** Whether apps may have computed this secret for the withdrawal: the three forms of crypto.md §6, or the third alone. */
export function isWithdrawalSecret(
  secret: string,
  withdrawal: SignedWithdrawal,
  { needsPayPassword }: { needsPayPassword: boolean },
): boolean {
  const { apiKey, openid, userId, payPasswordMd5 } = withdrawal
  const account = `${apiKey}${openid}${userId}`
  const call = signedCall(withdrawal)
  const withPayPassword = payPasswordMd5 === undefined ? [] : [md5(account + call + payPasswordMd5)]
  const forms =
    needsPayPassword && withPayPassword.length
      ? withPayPassword
      : [md5(account) + call, md5(account + call), ...withPayPassword]
  const given = Buffer.from(secret.toLowerCase())
  return forms.some((form) => constantTimeEqual(Buffer.from(form), given))
}
