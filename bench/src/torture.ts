/** Kills, stops and cuts everything while people chat, and judges what became of each message; see ../README.md. */
import { randomInt } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { timelineOf } from './torture/timeline.ts'
import { torture } from './torture/torture.ts'

const usage = `npm run bench:torture -- [options]

  --seed N         the faults and what people do                  (a new one, which is printed)
  --minutes N      how long                                       (10)
  --kills N        faults: kill -9, stops, cuts                   (20 a minute)
  --people N                                                      (40)
  --per-second N   what each of them does in a second             (6)
  --data FOLDER    where the servers keep data and logs           (a new one, removed when nothing is wrong)
  --json FILE      also write all that clients saw as JSON

Exit code 1 when a count is not 0.`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    minutes: { type: 'string', default: '10' },
    kills: { type: 'string' },
    people: { type: 'string', default: '40' },
    'per-second': { type: 'string', default: '6' },
    data: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  const minutes = Number(values.minutes)
  console.log(`seed ${values.seed}`)
  const began = performance.now()
  const report = await torture({
    seed: Number(values.seed),
    seconds: 60 * minutes,
    faults: Number(values.kills ?? 20 * minutes),
    people: Number(values.people),
    perSecond: Number(values['per-second']),
    ...(values.data ? { dataDir: values.data } : {}),
    report: (line) => console.error(`${Math.round((performance.now() - began) / 1000)} s: ${line}`),
  })
  const { happened, deaths, counts, faults, remarks, dataDir } = report
  const byKind = Map.groupBy(happened, ({ fault: { kind, target } }) => `${kind} ${target}`)
  console.log(
    `faults       ${[...byKind]
      .map(([name, some]) => `${some.length} × ${name}`)
      .sort()
      .join(', ')}`,
  )
  console.log(
    `counts       ${Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ')}`,
  )
  for (const line of deaths) console.log(`DIED         ${line}`)
  for (const [name, wrong] of Object.entries(faults)) {
    console.log(`${wrong.length ? 'WRONG' : 'ok   '}  ${String(wrong.length).padStart(5)} ${name}`)
    for (const what of wrong.slice(0, 3)) console.log(timelineOf(what, report))
  }
  for (const [name, some] of Object.entries(remarks)) console.log(`told ${String(some.length).padStart(6)} ${name}`)
  if (values.json) {
    const { ledger, ...rest } = report
    const saw = { messages: [...ledger.messages.values()], streams: ledger.streams, clears: ledger.clears }
    await writeFile(values.json, JSON.stringify({ ...rest, ...saw }))
  }
  const isWrong = deaths.length > 0 || Object.values(faults).some((wrong) => wrong.length)
  if (isWrong) console.log(`seed ${values.seed}; data and logs: ${dataDir}`)
  else if (!values.data) await rm(dataDir, { recursive: true, force: true })
  return isWrong ? 1 : 0
}

if (values.help) console.log(usage)
else process.exitCode = await main()
