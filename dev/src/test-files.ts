import { globSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import { repositoryRoot } from './machine/machine.ts'

/** Long files first: at the end of a run there are short ones, which leave no CPU idle. */
const patterns = [
  'test-e2e/test/**/*.test.ts',
  'bench/test/**/*.test.ts',
  'deploy/*/test/**/*.test.ts',
  'dev/test/**/*.test.ts',
  'libs/*/test/**/*.test.ts',
  'services/*/test/**/*.test.ts',
]

/** Test files of the workspace in the order in which they are begun; with paths: those at or below one of them. */
export function testFiles(paths: string[], root = repositoryRoot): string[] {
  const files = patterns.flatMap((pattern) =>
    globSync(pattern, { cwd: root, exclude: (name) => name === 'node_modules' }).sort(),
  )
  const wanted = paths.map((path) => relative(root, resolve(root, path)))
  const chosen = files.filter((file) => wanted.length === 0 || wanted.some((path) => isBelow(file, path)))
  return chosen.map((file) => join(root, file))
}

const isBelow = (file: string, path: string) => path === '' || file === path || file.startsWith(path + sep)
