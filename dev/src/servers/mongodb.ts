import { access, mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { type Document, MongoClient } from 'mongodb'
import { containerLaunch } from '../machine/docker.ts'
import type { Machine } from '../machine/machine.ts'
import type { Launch } from '../machine/supervised-process.ts'
import { obtainSecantusdb } from './secantusdb.ts'
import { type Choice, firstLine, firstWay, type NotHere, type Place, type Server } from './server.ts'

const image = 'mongo:8'
const downloadedVersion = '8.0.13'
const oldestMajor = 8
const title = 'MongoDB'
const replicaSet = 'im'

const urlOf = ({ ports }: Place) => `mongodb://127.0.0.1:${ports.mongodb}/?directConnection=true`

const install = `Install one of:
  MongoDB 8 or newer, so that mongod is on PATH:
    Debian, Ubuntu:  https://www.mongodb.com/docs/manual/administration/install-on-linux/ (package mongodb-org)
    macOS:           brew tap mongodb/brew && brew install mongodb-community
    Windows:         use WSL, then as on Ubuntu
  Docker, started, so that ${image} can be fetched
  Rust (https://rustup.rs) with gcc, g++, cmake and ninja: a compatible server is then built once, in about 6 minutes
or set MONGODB_URL to a replica set that runs.`

export const mongodb: Server = {
  name: 'mongodb',
  title,
  ports: ['mongodb'],
  env: (place) => ({ MONGODB_URL: urlOf(place) }),
  async choose(machine, dataDir) {
    if (!machine.env['MONGODB_URL'] && (await exists(join(dataDir, 'secantusdb')))) {
      const kept = await obtainSecantusdb(machine, { build: false })
      if (!('not' in kept))
        return secantusd({ ...kept, why: `${join(dataDir, 'secantusdb')} holds the data of earlier runs` })
    }
    return firstWay(
      title,
      [
        () => given(machine),
        () => onPath(machine),
        () => container(machine),
        () => downloaded(machine),
        async () => {
          const found = await obtainSecantusdb(machine, { build: true })
          return 'not' in found ? found : secantusd(found)
        },
      ],
      install,
    )
  },
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

// 1 The environment

async function given({ env }: Machine): Promise<Choice | NotHere> {
  const url = env['MONGODB_URL']
  if (!url) return { not: 'MONGODB_URL is not set' }
  await requireReplicaSet(url)
  return { what: 'the one of MONGODB_URL', why: 'the environment names it', given: { MONGODB_URL: url } }
}

/** Throws an error that says why the services can't use the server: no answer, or no replica set. */
async function requireReplicaSet(url: string): Promise<void> {
  try {
    const client = new MongoClient(url, { serverSelectionTimeoutMS: 5000 })
    const hello = await client
      .db('admin')
      .command({ hello: 1 })
      .finally(() => client.close())
    if (!hello['setName'] && hello['msg'] !== 'isdbgrid')
      throw new Error(
        'it lacks a replica set, so transactions (one node is enough: mongod --replSet im, rs.initiate())',
      )
  } catch (cause) {
    const { name, message } = cause as Error
    if (name === 'MongoServerSelectionError')
      throw new Error(`MONGODB_URL is set, but no MongoDB answers there: ${message}`)
    throw new Error(`MONGODB_URL is set, but that MongoDB can't be used: ${message}`)
  }
}

// 2 A mongod of this machine

async function onPath(machine: Machine): Promise<Choice | NotHere> {
  const path = await machine.find('mongod')
  if (!path) return { not: 'no mongod on PATH' }
  const version = await mongodVersion(path)
  if (Number(version.split('.')[0]) < oldestMajor) return { not: `${path} is version ${version}, too old` }
  return mongod(path, version, 'found on PATH')
}

async function mongodVersion(path: string): Promise<string> {
  const { stdout } = await execa(path, ['--version'], { reject: false })
  return /db version v(\S+)/.exec(stdout ?? '')?.[1] ?? '0'
}

function mongod(path: string, version: string, why: string): Choice {
  return {
    what: `${version} (${path})`,
    why,
    folder: 'mongodb',
    launch: (place) => ({
      file: path,
      args: [
        ...['--dbpath', place.folder, '--bind_ip', '127.0.0.1', '--port', String(place.ports.mongodb)],
        ...['--replSet', replicaSet, '--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '256', '--nounixsocket'],
      ],
      cwd: place.folder,
      ready: () => primary(urlOf(place), `127.0.0.1:${place.ports.mongodb}`),
    }),
  }
}

// 3 Docker

async function container(machine: Machine): Promise<Choice | NotHere> {
  if (!(await machine.docker.running())) return { not: 'no running Docker' }
  const failed = await machine.failures.failedAt(image)
  if (failed) return { not: `Docker could not fetch ${image} at ${failed.toISOString()}` }
  if (!(await machine.docker.obtain(image, machine.report))) {
    await machine.failures.remember(image)
    return { not: `Docker could not fetch ${image}` }
  }
  return {
    what: `${image} in Docker`,
    why: 'no mongod 7 or newer on PATH',
    folder: 'mongodb',
    launch: (place) => ({
      ...containerLaunch({
        name: 'mongodb',
        folder: place.folder,
        image,
        ports: [[place.ports.mongodb, 27017]],
        volumes: [[place.folder, '/data/db']],
        command: ['mongod', '--replSet', replicaSet, '--bind_ip_all', '--wiredTigerCacheSizeGB', '0.25'],
      }),
      ready: () => primary(urlOf(place), '127.0.0.1:27017'),
    }),
  }
}

// 4 MongoDB's own download

const downloadKey = 'mongod-download'

async function downloaded(machine: Machine): Promise<Choice | NotHere> {
  const { DryMongoBinary } = await import('mongodb-memory-server-core/lib/util/DryMongoBinary.js')
  const downloadDir = join(machine.cache, 'mongodb')
  const options = { version: downloadedVersion, downloadDir }
  const here = await DryMongoBinary.locateBinary(options).catch(() => undefined)
  if (here) return mongod(here, downloadedVersion, 'downloaded by an earlier run')
  const failed = await machine.failures.failedAt(downloadKey)
  if (failed) return { not: `the download of mongod failed at ${failed.toISOString()} (tried once a day)` }
  try {
    if (!proxyOf(machine.env)) await reachable(machine.env['MONGOMS_DOWNLOAD_MIRROR'] || 'https://fastdl.mongodb.org')
    machine.report.info(`Downloading mongod ${downloadedVersion} to ${downloadDir}`)
    await download(machine, downloadDir)
    const path = await DryMongoBinary.locateBinary(options)
    if (!path) throw new Error(`no mongod in ${downloadDir}`)
    return mongod(path, downloadedVersion, 'downloaded, as no mongod is on PATH and no Docker runs')
  } catch (cause) {
    await machine.failures.remember(downloadKey)
    return { not: `mongod can't be downloaded (${firstLine(cause)})` }
  }
}

const proxyOf = (env: NodeJS.ProcessEnv) =>
  env['https_proxy'] || env['HTTPS_PROXY'] || env['npm_config_https_proxy'] || env['npm_config_proxy']

/** Checks the connection first, in 4 s at most: the downloader takes 7 s or more to notice that there is none. */
async function reachable(address: string): Promise<void> {
  try {
    await fetch(address, { method: 'HEAD', signal: AbortSignal.timeout(4000) })
  } catch (cause) {
    const reason = (cause as { cause?: Error }).cause?.message ?? (cause as Error).message
    throw new Error(`${new URL(address).host}: ${reason}`)
  }
}

const longestSilence = 5000

/** Ends the download when nothing has arrived for a while. */
async function download(machine: Machine, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const silence = new AbortController()
  const child = execa(process.execPath, [join(import.meta.dirname, 'download-mongod.ts'), downloadedVersion, folder], {
    env: machine.env,
    extendEnv: false,
    stdin: 'ignore',
    reject: false,
    cancelSignal: silence.signal,
    forceKillAfterDelay: 500,
  })
  const before = await bytesIn(folder)
  let last = before
  let lastAt = Date.now()
  const watch = setInterval(async () => {
    const bytes = await bytesIn(folder)
    if (bytes !== last) [last, lastAt] = [bytes, Date.now()]
    machine.report.progress(`downloading mongod: ${Math.max(0, (bytes - before) / 1e6).toFixed(0)} MB`)
    if (Date.now() - lastAt > longestSilence) silence.abort()
  }, 250)
  const { exitCode, stderr } = await child.finally(() => clearInterval(watch))
  if (silence.signal.aborted) throw new Error(`nothing came for ${longestSilence / 1000} s`)
  if (exitCode !== 0) throw new Error(stderr.trim().split('\n').at(-1) || `exit code ${exitCode}`)
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder)
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

// 5 SecantusDB, which speaks MongoDB's protocol over MongoDB's storage engine

function secantusd({ path, version, why }: { path: string; version: string; why: string }): Choice {
  return {
    what: `SecantusDB ${version}, a compatible server (${path})`,
    why,
    folder: 'secantusdb',
    launch: (place): Launch => ({
      file: path,
      args: [
        ...['--host', '127.0.0.1', '--port', String(place.ports.mongodb), '--storage-path', place.folder],
        // Without it acknowledged writes are lost at kill -9.
        ...(place.isVolatile ? [] : ['--sync-on-commit']),
        ...['--cache-size', '512M', '--log-file-max', '64MB', '--log-level', 'WARNING'],
      ],
      cwd: place.folder,
      ready: () => primary(urlOf(place)),
    }),
  }
}

/**
 * Seconds. What a service was writing when it was killed is locked until its transaction ends. By default that takes a minute, and
 * no transaction of ours lasts longer than this.
 */
const transactionLifetimeLimitSeconds = 15

/**
 * Resolves when the server takes writes. A new mongod becomes a replica set of one node; one whose port has changed gets its
 * new address.
 */
async function primary(url: string, host?: string): Promise<void> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 2000, connectTimeoutMS: 2000 })
  try {
    const admin = client.db('admin')
    const hello = await admin.command({ hello: 1 })
    if (hello['isWritablePrimary'])
      return void (await admin.command({ setParameter: 1, transactionLifetimeLimitSeconds }))
    if (host) await (hello['isreplicaset'] ? initiate(admin, host) : readdress(admin, host))
    throw new Error('it is not primary yet')
  } finally {
    await client.close()
  }
}

type Admin = ReturnType<MongoClient['db']>

async function initiate(admin: Admin, host: string): Promise<void> {
  try {
    await admin.command({ replSetInitiate: { _id: replicaSet, members: [{ _id: 0, host }] } })
  } catch (cause) {
    if ((cause as { codeName?: string }).codeName !== 'AlreadyInitialized') throw cause
    await readdress(admin, host)
  }
}

async function readdress(admin: Admin, host: string): Promise<void> {
  const { config } = (await admin.command({ replSetGetConfig: 1 })) as { config: Document }
  if (config['members'].length !== 1 || config['members'][0].host === host) return
  const members = [{ ...config['members'][0], host }]
  await admin.command({ replSetReconfig: { ...config, version: config['version'] + 1, members }, force: true })
}
