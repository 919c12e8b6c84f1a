/** The modules that need no server, with plain Lua. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'

const modules = join(import.meta.dirname, '../prosody/modules')

for (const name of ['limits', 'segments', 'turns', 'xml']) {
  test(name, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'xmpp-lua-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    await t.spawn('lua5.4', [join(import.meta.dirname, `lua/${name}.lua`), modules, folder])
  })
}
