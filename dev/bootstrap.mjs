// Every command of package.json, on a machine with nothing but Node 20 and npm: installs the workspace when it has changed
// since the last time, then runs a file of it on the workspace's own Node. No dependencies, no TypeScript.
//
//   node dev/bootstrap.mjs <name of a file in dev/src, or path of a .ts file> [argument]…
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const node = join(root, 'node_modules/node/bin/node')
const mark = join(root, 'node_modules/.yingchuang-im-installed')
// Node keeps what it compiled: a process with all services loads in half of the time.
process.env.NODE_COMPILE_CACHE ||= join(root, 'node_modules/.cache/node')
const [name = 'start', ...args] = process.argv.slice(2)
const file = name.endsWith('.ts') ? name : `dev/src/${name}.ts`

/** The lock file and every package.json of the workspace: what the installed modules follow from. */
function manifestHash() {
  const folders = ['.', 'deploy/bundle', 'deploy/k8s', 'deploy/monitoring', 'deploy/xmpp', 'dev', 'test-e2e', 'bench']
  for (const parent of ['libs', 'services', 'web'])
    if (existsSync(join(root, parent)))
      folders.push(...readdirSync(join(root, parent)).map((child) => join(parent, child)))
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...folders.map((folder) => join(folder, 'package.json'))]
  const hash = createHash('sha256')
  for (const file of files.filter((file) => existsSync(join(root, file))).sort())
    hash.update(file).update(readFileSync(join(root, file)))
  return hash.digest('hex')
}

async function install() {
  const wanted = manifestHash()
  if (existsSync(node) && existsSync(mark) && readFileSync(mark, 'utf8') === wanted) return
  console.log('Installing packages (pnpm)…')
  const code = await run('npx', ['--yes', 'pnpm@12', 'install', '--frozen-lockfile'])
  if (code !== 0) {
    console.error(`Installing packages failed (exit code ${code}), see above.`)
    process.exit(code)
  }
  writeFileSync(mark, wanted)
}

/** A signal has gone on to the program. Another one would tell it to wait for nothing. */
let isEnding = false

/** Runs a program with this terminal; signals go on to it, and it notices when we are killed (its channel closes). */
function run(file, args, channel = false) {
  const child = spawn(file, args, { cwd: root, stdio: ['inherit', 'inherit', 'inherit', ...(channel ? ['ipc'] : [])] })
  const forward = (signal) => {
    isEnding = true
    child.kill(signal)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward)
  return new Promise((resolve) => {
    child.once('error', (error) => {
      console.error(`${file} could not be started: ${error.message}`)
      resolve(127)
    })
    child.once('exit', (code, signal) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, forward)
      resolve(signal ? 1 : (code ?? 1))
    })
  })
}

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`Node.js 20 or newer is needed; this is ${process.version}.`)
  process.exit(1)
}
/** npm runs us through a shell of its own, which survives when npm is killed outright. */
function npmProcess() {
  const shell = process.ppid
  if (!process.env.npm_lifecycle_event) return shell
  const asked = spawnSync('ps', ['-o', 'comm=,ppid=', '-p', String(shell)], { encoding: 'utf8' }).stdout
  let [, name, parent] = /(\S+)\s+(\d+)\s*$/.exec(asked ?? '') ?? []
  if (!name && existsSync(`/proc/${shell}/stat`)) {
    const stat = readFileSync(`/proc/${shell}/stat`, 'utf8')
    name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
  }
  return /(^|\/)-?(sh|dash|bash|zsh|ash)$/.test(name ?? '') ? Number(parent) : shell
}

function isGone(pid) {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}

// Killed outright, npm tells nobody: without it there is no terminal that Ctrl-C could come from.
const npm = npmProcess()
setInterval(() => !isEnding && isGone(npm) && process.kill(process.pid, 'SIGTERM'), 1000).unref()

// The launcher waits most of the time: little memory is worth more to it than speed.
const light = name === 'start' ? ['--optimize-for-size', '--max-semi-space-size=1'] : []

await install()
process.exit(await run(node, [...light, join(root, file), ...args], true))
