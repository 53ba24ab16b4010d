/** How the page looks: one column on a telephone, two on a desk; light or dark as the visitor's system is. No fonts or pictures from anywhere. */

export const style = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --ink: #16202c; --soft: #5b6877; --line: #dde2e8; --dash: #b4bfcb;
  --accent: #0e7490; --accent-ink: #ffffff; --bar: #a8cbd6; --bar-best: #0e7490; --wash: #e6f2f5; --wrong: #a3271c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10151b; --card: #181f28; --ink: #e8edf2; --soft: #97a4b3; --line: #2a3440; --dash: #44525f;
    --accent: #67c7dd; --accent-ink: #0b1a20; --bar: #2d5866; --bar-best: #67c7dd; --wash: #16303a; --wrong: #ff9a8c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; min-height: 100vh; min-height: 100dvh; display: flex; flex-direction: column; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans", "Noto Sans CJK SC", sans-serif;
}
header, main, footer { width: 100%; max-width: 1040px; margin: 0 auto; padding: 0 20px; }
header { display: flex; align-items: flex-start; gap: 14px; padding-top: 26px; padding-bottom: 18px; }
header div { flex: 1; min-width: 0; display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 14px; }
h1 { font-size: 1.45rem; line-height: 1.25; font-weight: 650; letter-spacing: -.01em; margin: 0; overflow-wrap: anywhere; }
.facts { color: var(--soft); font-size: .92rem; margin: 0; }
main { flex: 1; display: grid; gap: 18px; grid-template-columns: minmax(0, 1fr); align-content: start; }
@media (min-width: 780px) { main { grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr); } }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 16px; }
.stage { position: relative; display: flex; flex-direction: column; padding: 14px; gap: 14px; }
.drop {
  flex: 1; display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 4px; min-height: 300px; padding: 24px;
  border: 2px dashed var(--dash); border-radius: 11px; text-align: center; cursor: pointer; transition: background .15s, border-color .15s;
}
.drop:hover, .over .drop, .drop:focus-within { border-color: var(--accent); background: var(--wash); }
.drop svg { width: 46px; height: 46px; stroke: var(--accent); margin-bottom: 8px; }
.drop strong { font-size: 1.08rem; font-weight: 600; }
.drop span { color: var(--soft); font-size: .93rem; }
.view { display: none; flex: 1; min-height: 300px; border-radius: 11px; overflow: hidden; background: var(--ground); align-items: center; justify-content: center; }
.view img, .view video { display: block; max-width: 100%; max-height: 62vh; }
.view .small { image-rendering: pixelated; width: min(60%, 280px); }
[data-show="picture"] .drop, [data-show="camera"] .drop { display: none; }
[data-show="picture"] .view, [data-show="camera"] .view { display: flex; }
[data-show="picture"].over .view, [data-show="camera"].over .view { outline: 2px dashed var(--accent); outline-offset: -2px; }
.view video, [data-show="camera"] .view img { display: none; }
[data-show="camera"] .view video { display: block; }
.actions { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; }
.actions p { margin: 0; color: var(--soft); font-size: .88rem; flex: 1 1 200px; }
button, .button {
  font: inherit; font-size: .95rem; font-weight: 550; padding: 8px 16px; border-radius: 10px; border: 1px solid var(--line); background: var(--card);
  color: var(--ink); cursor: pointer; display: inline-flex; align-items: center; min-height: 42px;
}
button:hover, .button:hover { border-color: var(--accent); }
.button.main { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
#language { min-height: 34px; padding: 4px 12px; font-size: .88rem; }
:focus-visible, .button:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; }
[data-show="nothing"] #another { display: none; }
.hidden-input { position: absolute; width: 1px; height: 1px; opacity: 0; pointer-events: none; }
.answer { padding: 18px 20px 16px; display: flex; flex-direction: column; min-height: 240px; }
.answer h2 { font-size: 1rem; font-weight: 600; margin: 0 0 12px; }
.answer ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 13px; }
.answer li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 2px 12px; }
.answer .name { overflow-wrap: anywhere; }
.answer .percent { font-variant-numeric: tabular-nums; color: var(--soft); }
.answer .track { grid-column: 1 / -1; height: 8px; border-radius: 4px; background: var(--line); overflow: hidden; }
.answer .track i { display: block; height: 100%; border-radius: 4px; background: var(--bar); width: calc(var(--share) * 100%); min-width: 2px; transition: width .3s ease-out; }
.answer li:first-child .name { font-size: 1.3rem; font-weight: 650; line-height: 1.3; }
.answer li:first-child .percent { font-size: 1.3rem; font-weight: 650; line-height: 1.3; color: var(--ink); }
.answer li:first-child .track { height: 12px; border-radius: 6px; }
.answer li:first-child .track i { background: var(--bar-best); border-radius: 6px; }
.status { margin: auto 0 0; padding-top: 14px; color: var(--soft); font-size: .9rem; min-height: 2.4em; overflow-wrap: anywhere; }
.answer:has(ol:empty) .status { margin: 0; padding: 0; }
.status.wrong { color: var(--wrong); }
.busy ol { opacity: .55; transition: opacity .2s .15s; }
progress { width: 100%; height: 6px; border: 0; border-radius: 3px; overflow: hidden; background: var(--line); accent-color: var(--accent); margin-top: 8px; }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--accent); transition: width .2s; }
progress[hidden] { display: none; }
.token label { display: grid; gap: 4px; }
.token { margin: 0 0 14px; font-size: .92rem; color: var(--soft); }
.token input { font: inherit; padding: 8px 12px; border-radius: 10px; border: 1px solid var(--line); background: var(--ground); color: var(--ink); }
footer { padding-top: 18px; padding-bottom: 26px; color: var(--soft); font-size: .86rem; }
footer p { margin: 0; }
.not-started { grid-column: 1 / -1; padding: 12px 16px; margin: 0; animation: appear 0s 4s both; }
.started .not-started { display: none; }
@keyframes appear { from { position: absolute; visibility: hidden; } to { position: static; visibility: visible; } }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media (max-width: 480px) { header { padding-top: 18px; } header, main, footer { padding-left: 14px; padding-right: 14px; } .drop, .view { min-height: 230px; } }
`;
