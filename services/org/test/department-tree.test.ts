import fc from 'fast-check'
import { test } from 'tap'
import { pathToRoot, subtreeOf, type TreeNode } from '../src/departments/department-tree.ts'

/** Departments whose parents were made before them: a tree below department 0. */
const tree = fc
  .array(fc.nat(), { maxLength: 40 })
  .map((parents): TreeNode[] => [
    { _id: '0', parentId: 'company' },
    ...parents.map((parent, n) => ({ _id: String(n + 1), parentId: String(parent % (n + 1)) })),
  ])

/** Parents as they never should be: circles, strangers, departments above themselves. */
const anything = fc
  .array(fc.integer({ min: -1, max: 15 }), { maxLength: 15 })
  .map((parents): TreeNode[] => parents.map((parent, n) => ({ _id: String(n), parentId: String(parent) })))

const shuffled = (departments: fc.Arbitrary<TreeNode[]>) =>
  departments.chain((found) => fc.shuffledSubarray(found, { minLength: found.length, maxLength: found.length }))

test('every department of a tree has one way to the root, and is below each department on it', async (t) => {
  fc.assert(
    fc.property(shuffled(tree), (departments) => {
      for (const { _id } of departments) {
        const path = pathToRoot(departments, _id, '0')
        if (path?.[0] !== _id || path.at(-1) !== '0' || new Set(path).size !== path.length) return false
        if (!path.every((above) => subtreeOf(departments, above).has(_id))) return false
      }
      return true
    }),
  )
  t.pass('100 trees')
})

test('the parts below the children of a department, and the department itself, are the part below it', async (t) => {
  fc.assert(
    fc.property(shuffled(tree), (departments) =>
      departments.every(({ _id }) => {
        const children = departments.filter(({ parentId }) => parentId === _id)
        const parts = children.flatMap((child) => [...subtreeOf(departments, child._id)])
        return (
          new Set([_id, ...parts]).size === parts.length + 1 && subtreeOf(departments, _id).size === parts.length + 1
        )
      }),
    ),
  )
  t.pass('100 trees')
})

test('parents that make circles end no walk and lead to no root', async (t) => {
  fc.assert(
    fc.property(anything, (departments) => {
      const ids = new Set(departments.map(({ _id }) => _id))
      return [...ids, 'unknown'].every((id) => {
        const below = subtreeOf(departments, id)
        const path = pathToRoot(departments, id, '0')
        return [...below].every((found) => ids.has(found)) && (path === undefined || path.at(-1) === '0')
      })
    }),
  )
  const circle = [
    { _id: 'a', parentId: 'b' },
    { _id: 'b', parentId: 'a' },
  ]
  t.equal(pathToRoot(circle, 'a', 'root'), undefined)
  t.strictSame([...subtreeOf(circle, 'a')], ['a', 'b'])
  t.equal(subtreeOf(circle, 'c').size, 0)
})
