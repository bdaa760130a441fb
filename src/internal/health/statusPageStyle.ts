/** The style of the status page. Every text has a contrast of 4.5 to 1 at least, in both colour schemes. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #f4f5f7; --panel: #fff; --text: #1c2128; --muted: #57606a; --line: #d5dae1; --accent: #0b5cad;
  --pass: #0f5f2c; --pass-back: #dcf5e3; --warn: #744600; --warn-back: #fdf0c8; --fail: #9b1226; --fail-back: #ffe3e1;
  --active: #2f6fb8; --idle: #a9c6e6; --dialling: #d9a21b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1116; --panel: #161b22; --text: #e6edf3; --muted: #9da7b3; --line: #2f3741; --accent: #79b8ff;
    --pass: #7ee2a0; --pass-back: #10311e; --warn: #f0ca62; --warn-back: #38290a; --fail: #ffaba3; --fail-back: #471a1d;
    --active: #58a6ff; --idle: #2c4c70; --dialling: #e3b341;
  }
}
* { box-sizing: border-box }
body {
  margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2rem) 2rem; max-width: 76rem; background: var(--page); color: var(--text);
  font: 1rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
h1 { margin: 0 0 .75rem; font-size: 1.35rem }
h1 span { color: var(--muted); font-weight: 400 }
h2 { margin: 0 0 .5rem; font-size: 1rem }
p { margin: 0 }
a { color: var(--accent) }
.skip { position: absolute; left: -100vw }
.skip:focus { position: static }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .25rem }
header { margin-bottom: 1rem }
section { margin-bottom: 1rem; padding: .9rem 1rem; background: var(--panel); border: 1px solid var(--line); border-radius: .6rem }
footer, .muted { color: var(--muted); font-size: .875rem }

#overall {
  display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem; padding: .75rem 1rem; border-radius: .6rem;
  background: var(--panel); border: 1px solid var(--line); border-inline-start: .5rem solid var(--muted);
}
#overall.pass { background: var(--pass-back); border-color: var(--pass); color: var(--pass) }
#overall.warn { background: var(--warn-back); border-color: var(--warn); color: var(--warn) }
#overall.fail { background: var(--fail-back); border-color: var(--fail); color: var(--fail) }
#verdict { flex: 1 1 16rem }
#verdict strong { font-size: 1.25rem }
#verdict > span { display: block }
#freshness { font-size: .875rem }
button {
  min-height: 2.75rem; padding: .25rem 1rem; font: inherit; color: var(--text); background: var(--panel);
  border: 1px solid var(--muted); border-radius: .4rem; cursor: pointer;
}
/* What is shown is old: seen at a glance, and still read without effort. */
.stale main section { border-style: dashed; border-color: var(--fail) }
.stale main svg { opacity: .35 }

.badge { display: inline-block; padding: .05rem .5rem; border-radius: 1rem; font-size: .875rem; font-weight: 600; white-space: nowrap }
.pass .badge, .badge.pass { color: var(--pass); background: var(--pass-back) }
.warn .badge, .badge.warn { color: var(--warn); background: var(--warn-back) }
.fail .badge, .badge.fail { color: var(--fail); background: var(--fail-back) }
.bad { color: var(--fail); font-weight: 600 }

dl { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin: 0 }
dl div { min-width: 6rem }
dt { color: var(--muted); font-size: .8125rem }
dd { margin: 0; font-size: 1.125rem }
.observed { gap: .1rem .9rem }
.observed div { min-width: 0; display: flex; gap: .35rem; align-items: baseline }
.observed dd { font-size: .875rem }

table { width: 100%; border-collapse: collapse }
th, td { padding: .4rem .9rem .4rem 0; text-align: start; vertical-align: top; border-top: 1px solid var(--line) }
thead th { padding-top: 0; border: 0; color: var(--muted); font-size: .8125rem; font-weight: 400; white-space: nowrap }
th, td { min-width: 4.75rem }
tbody .muted { font-weight: 400 }
dl + table { margin-top: .75rem }
.number { text-align: end }
tr > :last-child { padding-inline-end: 0 }
.message { white-space: pre-wrap; overflow-wrap: anywhere; font: .8125rem/1.4 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace }
.message ~ .message { margin-top: .25rem }
svg { display: block }
.bar { width: 100%; min-width: 9rem; height: .6rem; margin: .3rem 0 .15rem; background: var(--page); border-radius: .2rem }
.bar .active { fill: var(--active) } .bar .idle { fill: var(--idle) } .bar .dialling { fill: var(--dialling) }
.line { width: 7.5rem; height: 1.5rem }
.line polyline { fill: none; stroke: var(--active); stroke-width: 1.5; vector-effect: non-scaling-stroke }

@media (max-width: 50rem) {
  table, tbody, tbody th { display: block }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  tbody tr { display: grid; grid-template-columns: repeat(3, 1fr); column-gap: .75rem; padding: .6rem 0; border-top: 1px solid var(--line) }
  tbody tr:first-child { padding-top: 0; border: 0 }
  tbody tr:last-child { padding-bottom: 0 }
  th, td, .number { min-width: 0; padding: .1rem 0; border: 0; text-align: start; overflow-wrap: anywhere }
  tbody th, td { grid-column: 1 / -1 }
  td { display: grid; grid-template-columns: 6rem 1fr; justify-items: start; align-items: baseline }
  td.number { grid-column: auto; display: block }
  td.number::before { display: block }
  td::before { content: attr(data-label); color: var(--muted); font-size: .8125rem }
  td:empty { display: none }
  dl { gap: .4rem 1.25rem }
}
@media (prefers-reduced-motion: no-preference) {
  .bar rect { transition: x .3s, width .3s }
}
`
