import { Type } from 'typebox'
import type { EntityOf, Fields } from '../fields.ts'
import { Int, Int32, Name, Prose, Time } from '../param-types.ts'
import { UnixSeconds } from '../result-types.ts'

const region = { type: Type.Integer(), param: Int32(), default: 0 }

/** What users tell about themselves: everybody sees it, and they change it as they like. */
export const profileFields = {
  nickname: { type: Type.String(), param: Name({ maxLength: 32 }) },
  sex: {
    type: Type.Integer({ description: '0 female, 1 male' }),
    param: Int({ minimum: 0, maximum: 1 }),
    default: 0,
  },
  birthday: { type: UnixSeconds(), param: Time(), default: 0 },
  description: {
    type: Type.String(),
    param: Prose({ maxLength: 200, empty: 'blank-clears', description: 'one blank clears it' }),
    default: '',
  },
  countryId: region,
  provinceId: region,
  cityId: region,
  areaId: region,
} satisfies Fields

export type Profile = EntityOf<typeof profileFields>
