import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, sep } from 'node:path'

const isLicense = /^(licen[cs]e|notice|copying|copyright)/i

/**
 * Copies the licenses of the packages that the files belong to into a folder for each, `<name>@<version>`. Of a package without
 * a text the folder says what its package.json does.
 */
export async function copyLicenses(files: readonly string[], folder: string): Promise<void> {
  const packages = new Set(files.flatMap((file) => packageOf.exec(file)?.[0] ?? []))
  await Promise.all([...packages].map((at) => copyFrom(at, folder)))
}

const packageOf = new RegExp(`^.*\\${sep}node_modules\\${sep}(@[^\\${sep}]+\\${sep})?[^\\${sep}]+`)

async function copyFrom(at: string, folder: string): Promise<void> {
  const { name, version, license, author, repository } = JSON.parse(await readFile(join(at, 'package.json'), 'utf8'))
  const to = join(folder, `${name}@${version}`)
  await mkdir(to, { recursive: true })
  const texts = (await readdir(at)).filter((file) => isLicense.test(file))
  await Promise.all(texts.map((file) => cp(join(at, file), join(to, file), { recursive: true })))
  if (!texts.length) await writeFile(join(to, 'package.json'), JSON.stringify({ license, author, repository }))
}
