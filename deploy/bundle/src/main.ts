/** `node main.ts packages <root> <folder>` or `node main.ts services <root> <folder> [home]`. */
import { resolve } from 'node:path'

const [what, root, folder, home] = process.argv.slice(2)
if (!root || !folder) throw new Error('name the root of the sources, and the folder to fill')
if (what === 'packages') {
  const { copyPackages } = await import('./packages.ts')
  await copyPackages(resolve(root), resolve(folder))
} else {
  const { bundleServices } = await import('./services.ts')
  await bundleServices(resolve(root), resolve(folder), home)
}
