/** `node download-mongod.ts <version> <folder>`: MongoDB's own download, in a process that can be ended when nothing comes. */
import { MongoBinary } from 'mongodb-memory-server-core/lib/util/MongoBinary.js'

const [version, downloadDir] = process.argv.slice(2)
// The library would take a program from anybody who answers.
process.env['npm_config_strict_ssl'] ??= 'true'
try {
  await MongoBinary.getPath({ version: version!, downloadDir: downloadDir!, checkMD5: true })
} catch (cause) {
  console.error((cause as Error).message.split('\n')[0])
  process.exitCode = 1
}
