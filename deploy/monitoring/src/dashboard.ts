/** Dashboards as data: what is shown and how it is asked for. Grafana's JSON follows from it. */

/** Unit ids of Grafana. */
type Unit = 's' | 'short' | 'percentunit' | 'bytes' | 'ops' | 'reqps'

export interface Query {
  /** PromQL. Rates use `$__rate_interval`. */
  expr: string
  /** Legend, with labels as `{{service}}`. */
  as: string
}

export interface Panel {
  title: string
  /** What it means when it moves, in a sentence. */
  description: string
  unit: Unit
  queries: readonly Query[]
  /** One number instead of a graph. */
  stat?: boolean
}

export interface Dashboard {
  /** File name and address in Grafana. */
  id: string
  title: string
  rows: readonly { title: string; panels: readonly Panel[] }[]
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of Grafana
const source = { type: 'prometheus', uid: '${datasource}' }
const columns = 24
const graphWidth = 12
const graphHeight = 8
const statWidth = 4
const statHeight = 4

/** The JSON that Grafana 10 and newer import or provision. */
export function grafanaJson({ id, title, rows }: Dashboard): object {
  const panels: object[] = []
  let y = 0
  for (const row of rows) {
    panels.push({
      type: 'row',
      title: row.title,
      id: panels.length + 1,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: columns, h: 1 },
    })
    y += 1
    let x = 0
    let height = 0
    for (const panel of row.panels) {
      const [w, h] = panel.stat ? [statWidth, statHeight] : [graphWidth, graphHeight]
      if (x + w > columns) {
        y += height
        x = 0
        height = 0
      }
      panels.push({ id: panels.length + 1, gridPos: { x, y, w, h }, ...grafanaPanel(panel) })
      x += w
      height = Math.max(height, h)
    }
    y += height
  }
  return {
    uid: `im-${id}`,
    title: `盈创 IM / ${title}`,
    tags: ['yingchuang-im'],
    schemaVersion: 39,
    editable: false,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: { list: [{ name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' }] },
    links: [{ type: 'dashboards', title: '盈创 IM', tags: ['yingchuang-im'], asDropdown: true, keepTime: true }],
    panels,
  }
}

const grafanaPanel = ({ title, description, unit, queries, stat }: Panel) => ({
  type: stat ? 'stat' : 'timeseries',
  title,
  description,
  datasource: source,
  fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
  options: stat ? { reduceOptions: { calcs: ['lastNotNull'] } } : { tooltip: { mode: 'multi', sort: 'desc' } },
  targets: queries.map(({ expr, as }, index) => ({
    refId: String.fromCharCode('A'.charCodeAt(0) + index),
    datasource: source,
    expr,
    legendFormat: as,
  })),
})
