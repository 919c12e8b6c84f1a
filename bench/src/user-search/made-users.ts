import { newUser } from '../../../services/user/src/users/new-user.ts'
import { type SearchableUser, searchableRow } from '../../../services/user/src/users/searchable-users-repository.ts'
import type { UserDocument } from '../../../services/user/src/users/user-document.ts'

/** The administrator comes before. */
export const firstUser = 10_000_101
const surnames = [
  ...'王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文',
]
const syllables = [
  'an',
  'bo',
  'chen',
  'da',
  'el',
  'fan',
  'go',
  'hua',
  'in',
  'jo',
  'ka',
  'lin',
  'mi',
  'na',
  'ou',
  'ping',
  'qi',
  'ra',
  'su',
  'tom',
  'wei',
  'xu',
  'yu',
  'zo',
]

/** The same users in each run, with a position or without one. */
export function userMaker({ arePlaced }: { arePlaced: boolean }) {
  let seed = 11
  function random(below: number): number {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  /** Few are frequent, most are rare. */
  const often = (below: number) => Math.floor(below * (random(1e6) / 1e6) ** 2)
  const given = () => String.fromCodePoint(0x4e00 + often(3000))

  function nickname(): string {
    const kind = random(10)
    const chinese = surnames[often(surnames.length)] + given() + (random(3) ? given() : '')
    if (kind < 6) return chinese
    if (kind < 7) return `${chinese}${random(1000)}`
    const latin = Array.from({ length: 2 + random(3) }, () => syllables[random(syllables.length)]).join('')
    if (kind < 9) return latin[0]?.toUpperCase() + latin.slice(1)
    // Apps propose names like these, so many users share all but the end.
    return `user${String(random(1e7)).padStart(7, '0')}`
  }

  const place = () => ({
    type: 'Point' as const,
    coordinates: [100 + random(20_000) / 1000, 20 + random(20_000) / 1000] as [number, number],
  })

  function user(n: number): UserDocument {
    return newUser({
      userId: firstUser + n,
      createTime: 1_700_000_000 + n,
      nickname: nickname(),
      sex: random(2),
      birthday: 300_000_000 + random(1_000_000_000),
      telephone: { areaCode: '86', number: String(13_000_000_000 + n) },
      ...(arePlaced ? { shownLoc: place(), locatedAt: Math.floor(Date.now() / 1000) } : {}),
    })
  }
  return { random, user, row: (one: UserDocument) => searchableRow(one) as SearchableUser }
}
