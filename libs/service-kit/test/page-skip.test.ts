import { test } from 'tap'
import { furthestRow, skipOf } from '../src/page-skip.ts'

test('a page begins behind those before it, and one that lies too far behind is not read', (t) => {
  t.equal(skipOf({ pageIndex: 0, pageSize: 10 }), 0)
  t.equal(skipOf({ pageIndex: furthestRow / 10, pageSize: 10 }), furthestRow)
  t.equal(skipOf({ pageIndex: furthestRow / 10 + 1, pageSize: 10 }), undefined)
  t.equal(skipOf({ pageIndex: 2 ** 31 - 1, pageSize: 1000 }), undefined)
  t.end()
})
