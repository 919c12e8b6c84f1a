import { apns } from './apns.ts'
import { baidu } from './baidu.ts'
import { fcm } from './fcm.ts'
import { honor } from './honor.ts'
import { huawei } from './huawei.ts'
import { jpush } from './jpush.ts'
import { meizu } from './meizu.ts'
import { oppo } from './oppo.ts'
import type { ProviderDefinition } from './provider-definition.ts'
import { vivo } from './vivo.ts'
import { webpush } from './webpush.ts'
import { xiaomi } from './xiaomi.ts'

/** The settings of all vendors. */
export const providerSettings = {
  ...apns.settings,
  ...fcm.settings,
  ...huawei.settings,
  ...honor.settings,
  ...xiaomi.settings,
  ...oppo.settings,
  ...vivo.settings,
  ...meizu.settings,
  ...baidu.settings,
  ...jpush.settings,
  ...webpush.settings,
}

/** All vendors. */
export const definitions = [
  ...[apns, fcm, huawei, honor, xiaomi, oppo, vivo, meizu, baidu, jpush, webpush],
] as unknown as readonly ProviderDefinition[]
