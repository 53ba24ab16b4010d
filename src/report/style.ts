/** How a report looks: light or dark as the reader's system is, on narrow and wide screens, and on paper. No fonts or files from elsewhere. */

export const style = `
:root {
  color-scheme: light dark;
  --page: #f6f5f2; --card: #ffffff; --ink: #1d2027; --soft: #667085; --line: #e4e2dc; --accent: #3457c9; --tint: #eef1fb;
  --good: #2f7d5f; --bad: #c2571a; --plot-1: #3b6fd8; --plot-2: #e07a2f; --plot-3: #2f9e77; --plot-4: #9a5bd0; --on-plot: #1d2027;
  --class-1: #3b6fd8; --class-2: #e07a2f; --class-3: #2f9e77; --class-4: #9a5bd0; --class-5: #d13f5b; --class-6: #0c94aa; --class-7: #a97f06; --class-8: #d04f9e; --class-9: #6b7280; --class-10: #738f1c;
  --shadow: 0 1px 2px rgb(20 24 40 / .05), 0 6px 24px rgb(20 24 40 / .05);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101216; --card: #181b21; --ink: #e8e9ed; --soft: #99a1b1; --line: #2a2e37; --accent: #8fa9ff; --tint: #1f2534;
    --good: #63c79d; --bad: #f2975a; --plot-1: #7ea2f5; --plot-2: #f0a263; --plot-3: #63c79d; --plot-4: #c193ee; --on-plot: #101216; --shadow: none;
    --class-1: #7ea2f5; --class-2: #f0a263; --class-3: #63c79d; --class-4: #c193ee; --class-5: #f2788d; --class-6: #4fd0e0; --class-7: #dcb84a; --class-8: #f291cc; --class-9: #a3aab8; --class-10: #b4d455;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 3.5rem; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--page); color: var(--ink); line-height: 1.55; font-size: 15px;
  font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
html:has(#lang-zh:checked) .en, html:not(:has(#lang-zh:checked)) .zh { display: none; }
.wrap { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
a { color: inherit; }
h1, h2, h3, p { margin: 0; }
bdi { overflow-wrap: anywhere; }

header { padding: 40px 0 20px; }
.brand { display: flex; align-items: center; gap: 9px; color: var(--soft); font-size: 13px; }
.brand svg { width: 22px; height: 22px; color: var(--accent); flex: none; }
.brand b { color: var(--ink); letter-spacing: .01em; }
h1 { font-size: clamp(26px, 4.2vw, 38px); line-height: 1.15; letter-spacing: -.022em; margin: 18px 0 8px; font-weight: 680; }
h1 small { font-weight: 400; font-size: .62em; color: var(--soft); letter-spacing: -.01em; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--soft); font-size: 13.5px; }
.facts b { color: var(--ink); font-weight: 550; }
.lang { margin-inline-start: auto; display: flex; border: 1px solid var(--line); border-radius: 99px; overflow: hidden; background: var(--card); }
.lang input { position: absolute; opacity: 0; pointer-events: none; }
.lang label { padding: 3px 12px; cursor: pointer; color: var(--soft); font-size: 12.5px; }
.lang input:checked + label { background: var(--accent); color: var(--card); }
.lang input:focus-visible + label { outline: 2px solid var(--accent); outline-offset: -3px; text-decoration: underline; }

nav { position: sticky; top: 0; z-index: 5; background: color-mix(in srgb, var(--page) 88%, transparent); backdrop-filter: blur(10px); border-bottom: 1px solid var(--line); }
nav .wrap { display: flex; gap: 20px; overflow-x: auto; scrollbar-width: none; }
@media (max-width: 640px) { nav .wrap { mask-image: linear-gradient(90deg, #000 calc(100% - 48px), transparent); padding-right: 40px !important; } }
nav a { padding: 10px 0; font-size: 13.5px; color: var(--soft); text-decoration: none; white-space: nowrap; }
nav a:hover { color: var(--ink); }

section { margin: 40px 0; }
h2 { font-size: 21px; letter-spacing: -.012em; font-weight: 640; margin-bottom: 4px; }
h3 { font-size: 14px; font-weight: 600; }
h2 + .card { margin-top: 12px; }
.how { color: var(--soft); max-width: 76ch; margin-bottom: 16px; font-size: 14px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 20px; box-shadow: var(--shadow); }

.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(136px, 1fr)); gap: 12px; margin: 24px 0 12px; }
.number { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 14px 16px; box-shadow: var(--shadow); }
.number .name { font-size: 12.5px; color: var(--soft); }
.number .value { font-size: 25px; font-weight: 640; letter-spacing: -.02em; line-height: 1.3; font-variant-numeric: tabular-nums; white-space: nowrap; }
.number .value small { font-size: .58em; font-weight: 500; color: var(--soft); letter-spacing: 0; }
.number .hint { font-size: 12px; color: var(--soft); line-height: 1.4; }
.number.first { background: var(--accent); border-color: transparent; color: var(--card); }
.number.first .name, .number.first .hint, .number.first .value small { color: inherit; opacity: .85; }
.findings { margin: 0; padding: 6px 20px; list-style: none; }
.findings li { padding: 9px 0 9px 22px; position: relative; }
.findings li + li { border-top: 1px solid var(--line); }
.findings li::before { content: ""; position: absolute; left: 2px; top: 17px; width: 8px; height: 8px; border-radius: 50%; background: var(--accent); }
.findings li.bad::before { background: var(--bad); }
.findings li.good::before { background: var(--good); }

.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 16px; }
figure { margin: 0; min-width: 0; }
figcaption { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: baseline; margin-bottom: 8px; }
.key { font-size: 12px; color: var(--soft); white-space: nowrap; }
.key i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; vertical-align: middle; margin-inline-end: 5px; background: var(--c); }
.key i.dashed { background: repeating-linear-gradient(90deg, var(--c) 0 4px, transparent 4px 7px); width: 18px; }
.keys { display: flex; flex-wrap: wrap; gap: 2px 16px; margin-bottom: 12px; }
.made { flex-basis: 100%; font-size: 12.5px; color: var(--soft); }
.axis { text-align: center; font-size: 12px; color: var(--soft); margin-top: 2px; }
svg.plot { display: block; width: 100%; height: auto; overflow: visible; color: var(--soft); }

.scroll { overflow: auto; max-height: 640px; margin: 0 -20px; padding: 0 20px; overscroll-behavior-x: contain;
  /* A shadow at the side where there is more: two covers move with the content. */
  background: linear-gradient(90deg, var(--card) 50%, transparent) left / 36px 100% local, linear-gradient(-90deg, var(--card) 50%, transparent) right / 36px 100% local,
    linear-gradient(90deg, color-mix(in srgb, var(--ink) 16%, transparent), transparent) left / 14px 100%, linear-gradient(-90deg, color-mix(in srgb, var(--ink) 16%, transparent), transparent) right / 14px 100%;
  background-repeat: no-repeat; }
.scroll.whole { max-height: none; }
.together { white-space: nowrap; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.matrix { margin: 0 auto; font-size: 13px; }
.matrix th { font-weight: 500; color: var(--soft); padding: 2px 6px; }
.matrix thead th div { max-width: 10ch; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; margin: 0 auto; }
.matrix.tight thead th { vertical-align: bottom; }
.matrix.tight thead th div { writing-mode: vertical-rl; transform: rotate(180deg); max-width: none; max-height: 12ch; }
.matrix tbody th { position: sticky; left: 0; background: var(--card); text-align: end; max-width: 18ch; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.matrix td { padding: 0; min-width: 34px; height: 34px; text-align: center; border: 2px solid var(--card); border-radius: 7px; color: var(--soft);
  background: color-mix(in srgb, var(--plot-2) calc(var(--v, 0) * 88%), color-mix(in srgb, var(--ink) 4%, transparent)); }
.matrix.roomy td { min-width: 46px; height: 44px; }
.matrix.roomy a { min-height: 40px; }
.matrix td.right { background: color-mix(in srgb, var(--plot-1) calc(8% + var(--v, 0) * 80%), transparent); }
.matrix td.strong, .matrix td.strong a { color: #fff; }
.matrix td.mid, .matrix td.mid a { color: var(--ink); }
.matrix a { display: grid; place-items: center; min-height: 30px; padding: 0 6px; text-decoration: none; color: var(--ink); border-radius: 5px; }
.matrix a:hover, .matrix a[aria-current], .pairs a:hover { outline: 2px solid var(--accent); }
@media (prefers-color-scheme: dark) { .matrix td.strong, .matrix td.strong a { color: #10131a; } }
.dots { display: block; width: min(100%, 560px); aspect-ratio: 1; margin: 0 auto 20px; border: 1px solid var(--line); border-radius: 8px; image-rendering: pixelated; background: color-mix(in srgb, var(--ink) 3%, transparent); }
.pair { display: none; margin-top: 18px; border-top: 1px solid var(--line); padding-top: 16px; }
.pair:target, .pair.shown { display: block; }
.js .pair:not(.shown) { display: none; }
.pair h3 { margin-bottom: 10px; }
.pair h3 small { color: var(--soft); font-weight: 400; margin-inline-start: 6px; }

.list { width: 100%; font-size: 14px; }
.list th, .list td { text-align: end; padding: 7px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
.list th:first-child, .list td:first-child { text-align: start; white-space: normal; min-width: 12ch; }
.list .name { text-align: start; white-space: normal; }
.list thead th { position: sticky; top: 0; background: var(--card); font-weight: 500; color: var(--soft); font-size: 13px; z-index: 1; }
.list tfoot td { border-bottom: 0; color: var(--soft); }
.list th button { all: unset; cursor: pointer; }
.list th button:focus-visible { outline: 2px solid var(--accent); border-radius: 3px; }
.list th[aria-sort=ascending] button::after { content: " ↑"; }
.list th[aria-sort=descending] button::after { content: " ↓"; }
.bar { display: inline-block; vertical-align: middle; width: 64px; height: 6px; border-radius: 3px; background: color-mix(in srgb, var(--ink) 9%, transparent); margin-inline-end: 9px; overflow: hidden; }
.bar i { display: block; height: 100%; border-radius: 3px; background: var(--plot-1); width: calc(var(--v) * 100%); }
.pairs .bar i { background: var(--plot-2); }

.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(138px, 1fr)); gap: 14px; list-style: none; margin: 0; padding: 0; }
.shot { min-width: 0; font-size: 12.5px; line-height: 1.45; }
.pic { display: block; width: 100%; aspect-ratio: 1; border-radius: 10px; background: color-mix(in srgb, var(--ink) 6%, transparent) center / contain no-repeat; border: 1px solid var(--line);
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.pic.small { image-rendering: pixelated; }
.pic.text { display: block; padding: 9px; overflow: hidden; font-size: 12px; line-height: 1.5; overflow-wrap: anywhere; }
.shot .said { margin-top: 7px; }
.shot .is { color: var(--good); font-weight: 600; }
.shot .wrong { color: var(--bad); font-weight: 600; }
.shot .file { color: var(--soft); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.shot .sure { display: block; height: 4px; border-radius: 2px; background: color-mix(in srgb, var(--ink) 9%, transparent); margin: 5px 0 3px; overflow: hidden; }
.shot .sure i { display: block; height: 100%; width: calc(var(--v) * 100%); background: var(--bad); }
.shot.fine .sure i { background: var(--good); }
.scatter { position: relative; }
.scatter svg.plot { touch-action: manipulation; }
.scatter svg.plot [aria-label=dot] > :hover { stroke: var(--ink); stroke-width: 2; }
.scatter svg.plot [aria-label=dot] > .away { opacity: .09; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 6px; margin: 12px 0 0; padding: 0; list-style: none; font-size: 13px; }
.legend button { all: unset; cursor: pointer; display: inline-flex; align-items: center; gap: 6px; padding: 2px 8px; border-radius: 99px; }
.legend button:hover, .legend button[aria-pressed=true] { background: color-mix(in srgb, var(--ink) 9%, transparent); }
.legend button:focus-visible { outline: 2px solid var(--accent); }
.legend svg { width: 12px; height: 12px; flex: none; overflow: visible; }
.legend small { color: var(--soft); font-variant-numeric: tabular-nums; }
.tip { position: absolute; z-index: 4; width: max-content; max-width: 190px; padding: 8px; font-size: 12.5px; line-height: 1.4; pointer-events: none;
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; box-shadow: 0 6px 24px rgb(10 12 20 / .22); overflow-wrap: anywhere; }
.tip[hidden] { display: none; }
.tip .pic { width: 112px; border-radius: 8px; margin-bottom: 6px; }
.tip .pic[hidden] { display: none; }
.mosaic { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 3px; }
.mosaic .pic { border-radius: 5px; border: 2px solid var(--c); }
.mosaic i { aspect-ratio: 1; }
@media (max-width: 640px) { .scatter svg.plot circle { r: 6px; } .mosaic { gap: 1px; } .mosaic .pic { border-width: 1px; border-radius: 3px; } }
.wide-plot { overflow-x: auto; }
.pairs-table bdi { white-space: nowrap; }
.pairs-table tbody th { position: sticky; left: 0; background: var(--card); font-weight: 500; text-align: start; }
.pairs-table td { padding: 4px 8px; font-size: 13px; }
.film + .film { margin-top: 16px; }
.film table { width: 100%; table-layout: fixed; font-size: 12.5px; }
.film th { font-weight: 500; color: var(--soft); padding: 0 5px 8px; text-align: center; min-width: 86px; width: 86px; vertical-align: bottom; }
.film td { padding: 0 5px 14px; vertical-align: top; text-align: center; line-height: 1.35; overflow-wrap: anywhere; }
.film tr > :first-child { position: sticky; left: 0; background: var(--card); z-index: 1; }
.film .said { margin-top: 5px; }
.film .is { color: var(--good); font-weight: 600; }
.film .wrong { color: var(--bad); font-weight: 600; }
.film .pic { border-radius: 8px; }
.prose p { max-width: 76ch; }
.prose p + p, .prose h3 { margin-top: 12px; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .92em; background: color-mix(in srgb, var(--ink) 6%, transparent); padding: 1px 5px; border-radius: 5px; white-space: nowrap; }
.list.groups tbody th { vertical-align: top; font-weight: 600; }
.list.groups td:first-child { text-align: end; white-space: nowrap; min-width: 0; }
.list.groups th:first-child { min-width: 0; }
h2 + .how + .gallery { margin-bottom: 8px; }

.counts { display: grid; grid-template-columns: minmax(8ch, max-content) 1fr max-content; gap: 6px 14px; align-items: center; font-size: 13.5px; }
.counts .stack { display: flex; height: 12px; border-radius: 4px; overflow: hidden; background: color-mix(in srgb, var(--ink) 6%, transparent); }
.counts .stack i { width: calc(var(--v) * 100%); }
.counts .total { font-variant-numeric: tabular-nums; color: var(--soft); text-align: end; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 16px 40px; }
.notes { margin: 6px 0 0; padding-inline-start: 20px; }
pre { margin: 0; padding: 14px 16px; border-radius: 10px; background: color-mix(in srgb, var(--ink) 5%, transparent); overflow-x: auto; font-size: 13px; line-height: 1.5;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
pre.commands b { font-weight: inherit; white-space: nowrap; }
pre.commands span { display: inline-block; width: 100%; padding-left: 3ch; text-indent: -3ch; }
details { margin-top: 14px; }
summary { cursor: pointer; color: var(--soft); font-size: 14px; }
details pre { margin-top: 10px; }
.left-out { color: var(--soft); font-size: 12.5px; margin-top: 14px; }
footer { color: var(--soft); font-size: 12.5px; padding: 20px 0 48px; border-top: 1px solid var(--line); }

@media (max-width: 640px) {
  .wrap { padding: 0 16px; }
  header { padding-top: 24px; }
  .card { padding: 16px; border-radius: 12px; }
  .scroll { margin: 0 -16px; padding: 0 16px; }
  .numbers { grid-template-columns: repeat(2, 1fr); gap: 10px; }
  .number .value { font-size: 22px; }
  .gallery { grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 12px; }
  .number:last-child:nth-child(odd) { grid-column: 1 / -1; }
  svg.plot[width="460"] { font-size: 16px !important; }
  .list th, .list td { padding: 7px 6px; }
  .list.groups thead th { white-space: normal; vertical-align: bottom; }
  .list.groups { font-size: 13px; }
  .list.groups :is(td, th):last-child:not(:first-child) { display: none; }
  .list.groups th, .list.groups td { padding: 7px 4px; }
  .bar { display: none; }
  .pairs .bar { display: inline-block; width: 40px; }
  .matrix.roomy td { min-width: 34px; height: 34px; }
  .matrix.roomy a { min-height: 30px; }
  section { margin: 32px 0; }
}
@media print {
  :root { --page: #fff; --shadow: none; }
  body { font-size: 12px; }
  nav, .lang { display: none; }
  .scroll { max-height: none; overflow: visible; }
  section, figure, .shot, tr { break-inside: avoid; }
  #by-class, #mistakes { break-inside: auto; }
  .matrix td, .bar, .bar i, .number.first, .counts i, .shot i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
