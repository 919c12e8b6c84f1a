import { ContractError, type Handlers } from '@im/contracts'
import { payCallbacks, wallet } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { keepOf } from '../forget-user.ts'
import { chinaTime } from '../payments/yuan.ts'
import { bindWeChat } from './bind-wechat.ts'
import { receivePayment } from './receive-payment.ts'
import { recharge } from './recharge.ts'
import { withdraw } from './withdraw.ts'

/** Cents of an amount of yuan that was sent as a number. */
function wholeCents(yuan: number): number {
  const cents = Math.round(yuan * 100)
  if (cents / 100 !== yuan) throw new ContractError('InvalidParams', { detail: 'money: more than two decimals' })
  return cents
}

const handlers: Handlers<typeof wallet, Deps> = {
  async recharge(deps, { caller, params }) {
    const { balance, order } = await recharge(deps, caller.userId, wholeCents(params.money), params.type)
    return { balance: balance / 100, ...order }
  },

  async getBalance({ ledger }, { caller }) {
    return { balance: (await ledger.of(caller.userId)).balance / 100 }
  },

  async bindWeChat(deps, { caller, params }) {
    return { openid: await keepOf(deps, caller.userId, () => bindWeChat(deps, caller.userId, params.code)) }
  },

  async withdraw(deps, { caller, params, request }) {
    const withdrawal = { ...params, userId: caller.userId, token: request.accessToken ?? '' }
    const { billNo, paymentNo, at, packageInfo } = await withdraw(deps, withdrawal)
    return {
      partner_trade_no: billNo,
      payment_no: paymentNo,
      payment_time: chinaTime(at),
      package_info: packageInfo,
    }
  },
}

const callbackHandlers: Handlers<typeof payCallbacks, Deps> = {
  receivePayment: (deps, { params, body, request }) => receivePayment(deps, params.provider, body, request.headers),
}

export const walletRoutes = [...bindHandlers(wallet, handlers), ...bindHandlers(payCallbacks, callbackHandlers)]
