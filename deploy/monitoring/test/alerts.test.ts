import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { obtainPrometheus } from '@im/dev/prometheus'
import { execa } from 'execa'
import { test } from 'tap'
import { parse, stringify } from 'yaml'
import { machine, monitoring } from './machine.ts'

interface Rule {
  alert: string
  expr: string
  for?: string
  labels: { severity: string }
  annotations: { summary: string }
}

const readYaml = async (name: string) => parse(await readFile(join(monitoring, name), 'utf8'))

interface Rules {
  groups: { name: string; rules: Rule[] }[]
}

const readRules = async (): Promise<Rule[]> =>
  ((await readYaml('alerts.yaml')) as Rules).groups.flatMap(({ rules }) => rules)

test('the rules do what alerts.test.yaml says', async (t) => {
  const found = await obtainPrometheus(machine, 'promtool')
  if ('not' in found) throw new Error(found.not)
  for (const args of [
    ['check', 'rules', 'alerts.yaml'],
    ['test', 'rules', 'alerts.test.yaml'],
  ]) {
    const { exitCode, all } = await execa(found.path, args, { cwd: monitoring, all: true, reject: false })
    t.equal(exitCode, 0, all)
  }
})

test('each alert has a test in which it fires, one in which it does not, and a section in docs/operations.md', async (t) => {
  const { tests } = (await readYaml('alerts.test.yaml')) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts: object[] }[] }[]
  }
  const tried = tests.flatMap(({ alert_rule_test }) => alert_rule_test)
  const operations = await readFile(join(monitoring, '../../docs/operations.md'), 'utf8')
  for (const { alert, labels, annotations } of await readRules()) {
    const own = tried.filter(({ alertname }) => alertname === alert)
    t.ok(
      own.some(({ exp_alerts }) => exp_alerts.length > 0),
      `${alert} fires`,
    )
    t.ok(
      own.some(({ exp_alerts }) => exp_alerts.length === 0),
      `${alert} does not always fire`,
    )
    t.match(labels.severity, /^(page|ticket)$/)
    t.ok(annotations.summary)
    t.match(operations, new RegExp(`^#+ ${alert}$`, 'm'), `docs/operations.md says what to do at ${alert}`)
  }
})

/** The rule with one thing changed at a time. */
function mutantsOf(rule: Rule): Rule[] {
  const { expr, for: after, labels } = rule
  const other = { page: 'ticket', ticket: 'page' }[labels.severity]!
  const times = after ? [`${Number.parseFloat(after) * 2}m`, `${Number.parseFloat(after) * 30}s`] : ['10m']
  const exprs = [
    ...changes(expr, /(?<=[><] )(?!0 |0$)[\d.]+/g, (number) => [`${Number(number) * 1.5}`, `${Number(number) / 1.5}`]),
    ...changes(expr, /(?<=[><=] )0(?![.\d])/g, () => ['5']),
    ...changes(expr, /[{,]\w+=~?"[^"]*"/g, (matcher) => [matcher[0] === '{' ? '{' : '']),
    ...changes(expr, /(?<==~")[^"]+/g, (values) =>
      values.split('|').map((value) => values.replace(new RegExp(`\\|?\\b${value}\\b`), '')),
    ),
    ...changes(expr, / (?:or|and|unless)(?: on \(\w+\))? [^{}()]*[({].*/gs, () => ['']),
  ]
  return [
    ...times.map((time) => ({ ...rule, for: time })),
    ...exprs.map((changed) => ({ ...rule, expr: changed })),
    { ...rule, labels: { ...labels, severity: other } },
  ]
}

const changes = (text: string, pattern: RegExp, change: (found: string) => string[]): string[] =>
  [...text.matchAll(pattern)].flatMap(({ 0: found, index }) =>
    change(found).map((changed) => text.slice(0, index) + changed + text.slice(index + found.length)),
  )

test('alerts.test.yaml notices when a threshold, a time, a label or a part of a rule changes', async (t) => {
  const found = await obtainPrometheus(machine, 'promtool')
  if ('not' in found) throw new Error(found.not)
  const folder = await mkdtemp(join(tmpdir(), 'im-alerts-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await cp(join(monitoring, 'alerts.test.yaml'), join(folder, 'alerts.test.yaml'))
  const { groups } = (await readYaml('alerts.yaml')) as Rules
  const mutants = new Map(groups.flatMap(({ rules }) => rules).map((rule) => [rule.alert, mutantsOf(rule)]))
  // One mutant of every rule at a time.
  for (let round = 0; round < Math.max(...[...mutants.values()].map(({ length }) => length)); round++) {
    const mutated = groups.map((group) => ({
      ...group,
      rules: group.rules.map((rule) => mutants.get(rule.alert)?.[round] ?? rule),
    }))
    await writeFile(join(folder, 'alerts.yaml'), stringify({ groups: mutated }))
    const args = ['test', 'rules', 'alerts.test.yaml']
    const { all = '' } = await execa(found.path, args, { cwd: folder, all: true, reject: false })
    const noticed = new Set([...all.matchAll(/alertname: (\w+)/g)].map(([, alert]) => alert))
    for (const rule of mutated.flatMap(({ rules }) => rules))
      if (mutants.get(rule.alert)?.[round])
        t.ok(noticed.has(rule.alert), `${rule.alert} for ${rule.for}, ${rule.labels.severity}: ${rule.expr}`)
  }
})
