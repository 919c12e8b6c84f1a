import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Secrets of a stack. They are made at the first start and kept with its data; the environment wins over them. */
const generators = {
  SERVICE_KEY: () => randomBytes(24).toString('hex'),
  CALLER_KEY: () => randomBytes(24).toString('hex'),
  XMPP_COMPONENT_SECRET: () => randomBytes(24).toString('hex'),
  SESSION_PEPPER: () => randomBytes(32).toString('hex'),
  PAY_MAC_KEY: () => randomBytes(32).toString('hex'),
  CONSOLE_ADMIN_PASSWORD: () => randomBytes(9).toString('base64url'),
}

export type SecretName = keyof typeof generators

export interface Secrets {
  values: Record<SecretName, string>
  /** The administrator's password was generated and not printed yet. A start may fail before it is printed. */
  passwordIsNew: boolean
  /** To be called when the password has been printed. */
  passwordWasShown(): Promise<void>
}

/** What the file holds. */
type Kept = Partial<Record<SecretName | 'passwordShownAt', string>>

export async function loadSecrets(file: string, env: NodeJS.ProcessEnv): Promise<Secrets> {
  await mkdir(dirname(file), { recursive: true }).catch((cause: Error) => {
    throw new Error(`${dirname(file)} can't be a data folder (${cause.message}). Choose another one.`)
  })
  const kept = await read(file)
  let isChanged = false
  const values = {} as Record<SecretName, string>
  for (const [name, generate] of Object.entries(generators) as [SecretName, () => string][]) {
    const given = env[name]
    if (!given && !kept[name]) {
      kept[name] = generate()
      isChanged = true
    }
    values[name] = given || (kept[name] as string)
  }
  if (isChanged) await write(file, kept)
  return {
    values,
    passwordIsNew: !env['CONSOLE_ADMIN_PASSWORD'] && !kept.passwordShownAt,
    passwordWasShown: () => write(file, { ...kept, passwordShownAt: new Date().toISOString() }),
  }
}

async function read(file: string): Promise<Kept> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    if (cause.code === 'ENOENT') return '{}'
    throw cause
  })
  try {
    return JSON.parse(text) as Kept
  } catch {
    throw new Error(`${file} is damaged. Restore it, or remove it (then every session ends and caches are refilled).`)
  }
}

async function write(file: string, secrets: Kept): Promise<void> {
  try {
    await writeFile(`${file}.new`, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 })
    await chmod(`${file}.new`, 0o600)
    await rename(`${file}.new`, file)
  } catch (cause) {
    throw new Error(`Secrets can't be kept in ${file} (${(cause as Error).message}). Make room there, or let us write.`)
  }
}
