/** `node main.ts <root> <folder> [home]`: see `bundleServices`. */
import { resolve } from 'node:path'
import { bundleServices } from './services.ts'

const [root, folder, home] = process.argv.slice(2)
if (!root || !folder) throw new Error('name the root of the sources, and the folder for the bundle')
await bundleServices(resolve(root), resolve(folder), home)
