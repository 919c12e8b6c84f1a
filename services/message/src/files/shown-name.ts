import { displayText } from '@im/contracts'

/** Characters of a name that are shown: file systems take no more. */
const longestName = 255

/**
 * A file's name as others see it: nothing in it is invisible or turns the direction of the rest. A long one keeps its extension.
 * It is only shown: no path is ever made of it.
 */
export function shownName(name: string): string {
  const visible = displayText(name.slice(0, 4096).toWellFormed(), 'line')
  const characters = [...visible]
  if (characters.length <= longestName) return visible || 'file'
  const extension = /\.[^.\s]{1,16}$/u.exec(visible)?.[0] ?? ''
  return characters.slice(0, longestName - [...extension].length).join('') + extension
}
