import { access, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { containerLaunch } from '../machine/docker.ts'
import type { Machine } from '../machine/machine.ts'
import { firstLine, firstWay, type NotHere, type Place, type Server } from './server.ts'

const version = '1.8.0'
const image = `versity/versitygw:v${version}`
const title = 'An S3-compatible server'
const secrets = { ROOT_ACCESS_KEY: 'test-access', ROOT_SECRET_KEY: 'test-secret-key' }
const urlOf = ({ ports }: Place) => `http://127.0.0.1:${ports.s3}`

const install = `Install versitygw ${version} (it is on PATH then), or Go 1.24 or newer, which builds it, or start Docker.`

/** Versity S3 Gateway: S3 over a directory. Only tests of the file store need it. */
export const s3: Server = {
  name: 's3',
  title,
  ports: ['s3'],
  env: (place) => ({
    S3_ENDPOINT: urlOf(place),
    S3_ACCESS_KEY_ID: secrets.ROOT_ACCESS_KEY,
    S3_SECRET_ACCESS_KEY: secrets.ROOT_SECRET_KEY,
  }),
  choose: (machine) => firstWay(title, [() => installed(machine), () => container(machine)], install),
}

async function installed(machine: Machine) {
  const found = await findOrBuild(machine)
  if ('not' in found) return found
  return {
    what: `versitygw (${found.path})`,
    why: found.why,
    launch: (place: Place) => {
      const [data, meta] = [join(place.folder, 'data'), join(place.folder, 'meta')]
      return {
        file: found.path,
        // Not every file system has the attributes that it would keep its own data in.
        args: ['--port', `127.0.0.1:${place.ports.s3}`, '--health', '/health', 'posix', '--sidecar', meta, data],
        env: { ...machine.env, ...secrets },
        cwd: place.folder,
        prepare: async () => {
          await mkdir(data, { recursive: true })
          await mkdir(meta, { recursive: true })
        },
        ready: () => answers(urlOf(place)),
      }
    },
  }
}

async function findOrBuild(machine: Machine): Promise<{ path: string; why: string } | NotHere> {
  const onPath = await machine.find('versitygw')
  if (onPath) return { path: onPath, why: 'found on PATH' }
  const folder = join(machine.cache, `versitygw-${version}`)
  const path = join(folder, 'versitygw')
  const isThere = await access(path).then(
    () => true,
    () => false,
  )
  if (isThere) return { path, why: 'built by an earlier run' }
  const go = await machine.find('go')
  if (!go) return { not: 'no versitygw and no go on PATH' }
  try {
    machine.report.info(`building versitygw ${version}, once (about a minute on 2 cores)`)
    const building = join(folder, `build-${process.pid}`)
    const source = `github.com/versity/versitygw/cmd/versitygw@v${version}`
    await execa(go, ['install', source], {
      env: { ...machine.env, GOBIN: building },
      extendEnv: false,
      stdin: 'ignore',
    })
    await rename(join(building, 'versitygw'), path)
    return { path, why: 'built just now' }
  } catch (cause) {
    return { not: `versitygw can't be built: ${firstLine(cause)}` }
  }
}

async function container(machine: Machine) {
  if (!(await machine.docker.running())) return { not: 'no running Docker' }
  if (!(await machine.docker.obtain(image, machine.report))) return { not: `Docker could not fetch ${image}` }
  return {
    what: `${image} in Docker`,
    why: 'neither versitygw nor go on PATH',
    launch: (place: Place) => ({
      ...containerLaunch({
        name: 's3',
        folder: place.folder,
        image,
        ports: [[place.ports.s3, 7070]],
        volumes: [],
        env: secrets,
        command: ['--health', '/health', 'posix', '--nometa', '/tmp'],
      }),
      ready: () => answers(urlOf(place)),
    }),
  }
}

async function answers(url: string): Promise<void> {
  const { status } = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) })
  if (status !== 200) throw new Error(`${url} answers ${status}`)
}
