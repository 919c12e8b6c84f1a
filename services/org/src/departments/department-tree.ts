/** What the tree needs to know of a department. */
export interface TreeNode {
  _id: string
  parentId: string
}

/** The department and all below it. Each is in the result once, whatever the parents say. */
export function subtreeOf(departments: readonly TreeNode[], rootId: string): Set<string> {
  const children = Map.groupBy(departments, ({ parentId }) => parentId)
  const found = new Set<string>(departments.some(({ _id }) => _id === rootId) ? [rootId] : [])
  // A set goes on to what is added while it is read.
  for (const id of found) for (const child of children.get(id) ?? []) found.add(child._id)
  return found
}

/** The way from a department up to the root, itself first. Undefined when it does not lead there. */
export function pathToRoot(departments: readonly TreeNode[], id: string, rootId: string): string[] | undefined {
  const byId = new Map(departments.map((department) => [department._id, department]))
  const path = new Set<string>()
  for (let at = byId.get(id); at && !path.has(at._id); at = byId.get(at.parentId)) {
    path.add(at._id)
    if (at._id === rootId) return [...path]
  }
  return undefined
}
