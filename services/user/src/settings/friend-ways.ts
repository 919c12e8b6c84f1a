import { ContractError } from '@im/contracts'

/** Reads the ways by which a user may be added: a comma list of 1..5. `0` and `-1` mean none. */
export function parseFriendWays(text: string): string {
  const ways = text.split(',').map((way) => way.trim())
  if (ways.every((way) => way === '0' || way === '-1' || way === '')) return ''
  if (!ways.every((way) => /^[1-5]$/.test(way))) throw new ContractError('InvalidParams', { detail: 'friendFromList' })
  return [...new Set(ways)].sort().join(',')
}
