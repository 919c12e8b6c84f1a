export type Condition =
  | 'bad-request'
  | 'policy-violation'
  | 'not-acceptable'
  | 'not-allowed'
  | 'forbidden'
  | 'item-not-found'
  | 'registration-required'
  | 'service-unavailable'
  | 'resource-constraint'
  | 'internal-server-error'

/** The answer to a message that is not taken (spec xmpp.md §8). */
export interface Refusal {
  condition: Condition
  text: string
}
