"""The look of the report page: one column of text, light and dark, from phone to desk."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2127; --soft: #59626e; --paper: #fff;
  --rule: #d9dee4; --band: #f5f7f9; --mark: #0b57a4; --good: #1a6b3c; --bad: #a3261d;
  --s0: #0060a8; --s1: #bf4d08; --s2: #007a58; --s3: #97397a; --s4: #7a5c00; --s5: #3a7ca5;
  --s6: #8a3324; --s7: #4b4f9e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --soft: #a3acb8; --paper: #14171b; --rule: #343b44; --band: #1b2026;
    --mark: #8cc0ff; --good: #74d19a; --bad: #ff9b91;
    --s0: #6cb6ff; --s1: #ff9a5c; --s2: #4fd1a5; --s3: #f09cd0; --s4: #e6c35c; --s5: #9ad0f5;
    --s6: #f2a08f; --s7: #b3b6ff; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; padding: 2.5rem clamp(1rem, 4vw, 3rem) 5rem; max-width: 76rem;
  background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.45rem; line-height: 1.25; margin: 0 0 .4rem; text-wrap: balance; }
h3 { font-size: 1.12rem; line-height: 1.35; margin: 2.8rem 0 .8rem; }
h4 { font-size: 1rem; line-height: 1.4; margin: 2.2rem 0 .5rem; }
p, ul { max-width: 44rem; }
a { color: var(--mark); text-underline-offset: .15em; }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; border-radius: 2px; }
.skip { position: absolute; left: -100vw; padding: .5rem .8rem; background: var(--paper); }
.skip:focus { left: .5rem; top: .5rem; }
.by, .legend, .caption, figcaption, caption { color: var(--soft); }
.by { margin: 0; max-width: 60rem; }
#overview { margin-top: 3rem; }
.legend, .caption, figcaption { font-size: .875rem; line-height: 1.5; max-width: 46rem; }
nav ul { list-style: none; margin: 1.4rem 0 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .3rem 1.4rem; }
section.paper { margin-top: 4.5rem; padding-top: 2.2rem; border-top: 1px solid var(--rule); }
.standing { border-left: 3px solid var(--mark); padding-left: .8rem; margin: .6rem 0; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1.4rem;
  font-size: .9rem; max-width: 54rem; }
dt { font-weight: 600; } dd { margin: 0; }
li { margin: .35rem 0; }
code, pre { font: .875rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { overflow-x: auto; padding: .8rem 1rem; background: var(--band); margin: .5rem 0; }
details { margin: .6rem 0; font-size: .95rem; }
summary { cursor: pointer; color: var(--mark); width: fit-content; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.4; white-space: nowrap;
  font-variant-numeric: tabular-nums lining-nums; }
caption { text-align: left; padding-bottom: .6rem; white-space: normal; position: sticky; left: 0;
  max-width: min(46rem, calc(100vw - 2 * clamp(1rem, 4vw, 3rem))); }
th, td { padding: .22rem .6rem; text-align: right; font-weight: 400; vertical-align: top; }
thead th:first-child, tbody th[scope=rowgroup], .lines tr > :first-child, .words tr > :first-child {
  padding-left: 0; }
thead th { font-weight: 600; vertical-align: bottom; }
thead th[scope=colgroup] { text-align: center; border-bottom: 1px solid var(--rule); }
thead th[rowspan], tbody th, .words th, .words td { text-align: left; }
tbody th[scope=rowgroup] { position: sticky; left: 0; background: var(--paper);
  font-weight: 600; white-space: normal; min-width: 6.5rem; max-width: 14rem; }
.scores tbody th[scope=row], .spread td, .seeds td, .difference td { color: var(--soft); }
.scores tbody tr:first-child > *, .lines tbody tr > *, .words tbody tr > * {
  border-top: 1px solid var(--rule); }
.scores tbody tr:first-child > * { padding-top: .45rem; }
.scores tbody.first tr:first-child > * { border-top: 1.5px solid var(--ink); }
.scores tbody tr:last-child > * { padding-bottom: .45rem; }
td.start { padding-left: 1.2rem; }
td b { color: var(--mark); }
.ours td { background: var(--band); }
.words { white-space: normal; width: 100%; overflow-wrap: break-word; }
.words th, .words td { padding: .6rem .8rem .6rem 0; }
.words tbody th { width: 36%; }
.words .number { white-space: nowrap; }
.words small { display: block; color: var(--soft); font-size: .8125rem; margin-top: .15rem; }
.lines .text { text-align: left; }
.lines .long { white-space: normal; min-width: 10rem; }
.outcome { font-weight: 600; white-space: nowrap; }
.outcome::before { content: ""; display: inline-block; width: .6em; height: .6em;
  margin-right: .5em; border: 1.5px solid currentColor; border-radius: 50%; }
.holds { color: var(--good); } .holds::before { background: currentColor; }
.fails { color: var(--bad); } .fails::before { border-radius: 0; background: currentColor; }
.undecided::before { background: linear-gradient(90deg, currentColor 50%, transparent 50%); }
.none { color: var(--soft); font-weight: 400; }
figure { margin: 1.8rem 0 2.4rem; }
figure h4 { margin: 0 0 .6rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr));
  gap: 1rem 2rem; margin-bottom: .6rem; }
.panel { margin: 0; min-width: 0; max-width: 35rem; }
.panel.wide { max-width: 48rem; overflow-x: auto; grid-column: 1 / -1; }
.panel.wide svg { min-width: 34rem; }
.panel p { margin: 0 0 .2rem; font-size: .875rem; font-weight: 600; }
svg.plot { display: block; width: 100%; height: auto; }
svg.plot * { stroke-linejoin: round; }
.crops { display: flex; flex-wrap: wrap; gap: 1.1rem; margin: 0 0 .6rem; padding: 0;
  list-style: none; max-width: none; }
.crops li { margin: 0; width: 10rem; font-size: .875rem; line-height: 1.4; }
.crops img { display: block; width: 100%; height: auto; image-rendering: pixelated;
  margin-bottom: .35rem; }
.crops span { display: block; color: var(--soft); font-variant-numeric: tabular-nums; }
@media (max-width: 48rem) {
  .words thead { position: absolute; clip-path: inset(50%); }
  .words, .words tbody, .words tr, .words th, .words td { display: block; }
  .words tbody th, .words td { width: auto; padding: .15rem 0; border: 0; }
  .words tbody tr { padding: .8rem 0; border-top: 1px solid var(--rule); }
  .words tbody tr > * { border: 0; }
  .words caption { display: block; max-width: none; }
  .words td:empty { display: none; }
  .words td::before { content: attr(data-label); display: inline-block; min-width: 4.6rem;
    color: var(--soft); }
  .words td small { display: inline; margin-left: .5rem; } }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; }
  body { padding-top: 1.4rem; } h1 { font-size: 1.6rem; }
  tbody th[scope=rowgroup] { max-width: 7rem; }
  .crops { gap: .8rem; } .crops li { width: calc(50% - .4rem); }
  section.paper { margin-top: 3rem; padding-top: 1.6rem; } }
@media print { .skip, nav { display: none; } body { max-width: none; padding: 0; }
  .scroll { overflow: visible; } figure, tr { break-inside: avoid; } }
"""
