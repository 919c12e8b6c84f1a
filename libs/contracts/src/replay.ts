import { type Static, type TObject, Type } from 'typebox'
import { PageSize, Text } from './param-types.ts'

/**
 * Parameters and result of an internal endpoint from which another service reads all that there is, page by page, before it
 * follows the events. Each row has the number of the last event about it that it contains, so that whoever keeps a copy
 * knows which of two states is newer.
 */
export const replayOf = <T extends TObject>(row: T) => ({
  auth: 'internal' as const,
  safe: true,
  params: Type.Object({
    after: Type.Optional(Text({ trim: true, maxLength: 256, description: '`next` of the page before' })),
    pageSize: PageSize(500),
  }),
  result: Type.Object({
    rows: Type.Array(
      Type.Object({
        aggregate: Type.String({ description: 'as in the events about the row' }),
        sequence: Type.Integer({ description: 'of the last event about it; 0 before the first' }),
        data: row,
      }),
    ),
    next: Type.Optional(Type.String({ description: 'absent on the last page' })),
  }),
})

/** A page of such an endpoint. */
export interface ReplayPage<T> {
  rows: { aggregate: string; sequence: number; data: T }[]
  next?: string | undefined
}

/** What the rows of such an endpoint hold. */
export type ReplayedRow<E extends { result: ReturnType<typeof replayOf>['result'] }> = Static<
  E['result']
>['rows'][number]['data']
