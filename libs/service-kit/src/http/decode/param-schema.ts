import { ContractError, type Display, type ErrorName, type WireKind } from '@im/contracts'

/** A parameter of a contract, as its JSON schema with the keywords of param-types.ts. */
export interface ParamSchema {
  wire?: WireKind
  type?: string
  default?: unknown
  aliases?: readonly string[]
  minimum?: number
  maximum?: number
  pattern?: string
  trim?: boolean
  display?: Display
  long?: boolean
  maxLength?: number
  maxBytes?: number
  empty?: 'absent' | 'kept' | 'blank-kept' | 'blank-clears'
  fraction?: boolean
  notFound?: ErrorName
  /** Lists: whether a comma separates items, and whether the same item counts once. */
  commas?: boolean
  unique?: boolean
  maxItems?: number
  items?: ParamSchema
  /** JSON values: what their schema keeps. */
  checked?: boolean
  properties?: Record<string, ParamSchema>
  required?: readonly string[]
}

export const invalid = (name: string, why: string) => new ContractError('InvalidParams', { detail: `${name}: ${why}` })
