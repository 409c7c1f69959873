// @ts-check
/** Style of the panel: the editor's colours, each with a fallback, under one class prefix. */
import { curveStyle } from "./curve-plot.mjs";

export const STYLE = `
.gg-host { display: flex; flex-direction: column; min-height: 450px; height: 100%; width: 0; min-width: 100%; }
.gg-panel { position: relative; display: flex; flex-direction: column; gap: 5px; flex: 1 1 0; width: 100%; min-height: 450px;
  box-sizing: border-box; padding: 6px; overflow: hidden; border-radius: 6px; font: 12px/1.35 Inter, Arial, sans-serif;
  color: var(--input-text, #ddd); background: var(--comfy-menu-bg, #353535); }
.gg-host:fullscreen { background: var(--comfy-menu-bg, #353535); }
.gg-host:fullscreen .gg-panel { zoom: 1.5; }
.gg-panel:focus-visible, .gg-panel :focus-visible { outline: 2px solid var(--gg-accent); outline-offset: 1px; }
.gg-panel[data-theme="dark"] { --gg-accent: #4FA8E0; --gg-paper: #1E1E1E; --gg-soft: rgba(255, 255, 255, .09); --gg-lit: #F0E442;
  --gg-fine: #2DC08F; --gg-above: #F08A3C; --gg-unclear: #C8C8C8; }
.gg-panel[data-theme="light"] { --gg-accent: #005A8C; --gg-paper: #FFFFFF; --gg-soft: rgba(0, 0, 0, .07); --gg-lit: #8A6500;
  --gg-fine: #00785A; --gg-above: #B04700; --gg-unclear: #595959; }
.gg-panel [hidden] { display: none !important; }
.gg-panel button, .gg-panel select { font: inherit; color: inherit; background: var(--gg-soft); border: 1px solid transparent;
  border-radius: 4px; padding: 2px 8px; min-height: 24px; cursor: pointer; margin: 0; }
.gg-panel select option { color: #222; background: #fff; }
.gg-panel button:hover:not(:disabled), .gg-panel select:hover { border-color: var(--gg-accent); }
.gg-panel button:disabled { opacity: .5; cursor: default; }
.gg-aloud { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.gg-top { display: flex; align-items: center; gap: 6px; flex: none; min-width: 0; }
.gg-pages { display: flex; flex: none; gap: 2px; padding: 2px; border-radius: 6px; background: var(--gg-soft); margin-left: auto; }
.gg-panel .gg-pages button { background: none; padding: 1px 8px; min-height: 22px; }
.gg-panel :is(.gg-pages, .gg-tabs) button[aria-selected="true"] { background: var(--gg-accent); color: var(--gg-paper); font-weight: 600; }
.gg-verdict { display: flex; gap: 6px; align-items: baseline; flex: 1 1 auto; min-width: 0; border-left: 4px solid var(--gg-tone); padding: 2px 0 2px 8px;
  --gg-tone: var(--gg-unclear); font-weight: 600; user-select: text; }
.gg-one { --gg-tone: var(--gg-unclear); }
:is(.gg-verdict, .gg-one)[data-colour="fine"] { --gg-tone: var(--gg-fine); }
:is(.gg-verdict, .gg-one)[data-colour="above"] { --gg-tone: var(--gg-above); }
.gg-verdict[data-before] { opacity: .6; }
.gg-changed { flex: none; border-left: 4px solid var(--gg-accent); padding-left: 8px; }
.gg-changed[data-idle] { position: absolute; border: 0; padding: 0; }
.gg-changed[data-idle] button { display: none; }
.gg-changed-words { flex: 0 1 auto; min-width: 0; }
.gg-bar .gg-changed:not([data-idle]) { flex: 1 1 100%; }
.gg-sign { flex: none; color: var(--gg-tone); }
.gg-headline { min-width: 0; }
.gg-acts { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; flex: none; }
.gg-panel .gg-acts button { min-height: 28px; padding: 3px 12px; }
.gg-panel :is(.gg-apply-again, .gg-see, .gg-begin, [data-main]) { background: var(--gg-accent); color: var(--gg-paper); font-weight: 600; }
.gg-note { flex: 1 1 100%; margin: 0; order: 1; }
.gg-note:empty { display: none; }
.gg-explain { flex: none; min-height: 0; user-select: text; line-height: 1.45; }
.gg-panel :is(.gg-why, .gg-how) { display: block; background: none; padding: 2px 4px; font-weight: 600; text-align: left; }
:is(.gg-why, .gg-how)::before { content: "\\25b8"; display: inline-block; width: 14px; opacity: .7; }
:is(.gg-why, .gg-how)[aria-expanded="true"]::before { content: "\\25be"; }
.gg-explain ul { margin: 2px 0 4px; padding-left: 30px; max-width: 72ch; }
.gg-explain li { margin: 0 0 3px; }
.gg-evidence { opacity: .9; }
.gg-evidence ul + ul { border-top: 1px solid var(--gg-soft); padding-top: 4px; }
.gg-panel[data-page="geometry"] .gg-acts { display: none; }
.gg-panel[data-page="geometry"] .gg-explain { display: none; }
.gg-panel[data-page="advice"] { overflow-y: auto; }
.gg-panel[data-page="advice"] .gg-top { flex-wrap: wrap; }
.gg-panel[data-page="advice"] .gg-top .gg-pages { order: -1; margin: 0 auto 0 0; }
.gg-panel[data-page="advice"] .gg-top :is(.gg-verdict, .gg-acts) { flex: 1 1 100%; }
.gg-panel[data-page="advice"] .gg-headline { font-size: 18px; line-height: 1.25; }
.gg-advice { display: flex; flex-direction: column; flex: 1 0 auto; min-height: 190px; min-width: 0; }
.gg-shelf { --gg-ratio: 1; container-type: size; display: flex; align-items: flex-start; justify-content: safe center; gap: 8px; flex: 1 1 0; min-height: 190px; overflow-x: auto; }
.gg-panel .gg-frame { flex: none; box-sizing: border-box; margin: 0; padding: 4px; border: 2px solid transparent; border-radius: 6px;
  background: var(--gg-paper); display: flex; flex-direction: column; gap: 4px; align-items: center; position: relative;
  width: max(76px, min(calc((100cqw - 8px * (var(--gg-frames) - 1)) / var(--gg-frames)), calc((100cqh - 40px) * var(--gg-ratio) + 12px))); }
.gg-shots { display: grid; grid-template-columns: repeat(var(--gg-columns, 1), 1fr); gap: 2px; width: 100%; aspect-ratio: var(--gg-ratio); border-radius: 3px;
  background: var(--gg-soft); overflow: hidden; }
.gg-turns { display: grid; width: 100%; touch-action: manipulation; user-select: none; -webkit-touch-callout: none; }
.gg-turns[role="button"] { cursor: pointer; }
.gg-turns > * { grid-area: 1 / 1; }
.gg-turns > .gg-over { background: var(--gg-paper); visibility: hidden; }
.gg-turns[data-turned] > .gg-over { visibility: visible; }
.gg-panel .gg-shots :is(img, canvas) { position: static; display: block; width: 100%; height: 100%; min-width: 0; min-height: 0; object-fit: contain; }
.gg-name { max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-height: 18px; font-variant-numeric: tabular-nums; }
.gg-pair .gg-frame > :is(.gg-see, .gg-waiting) { position: absolute; inset: calc(50% - 30px) 4px auto; width: fit-content; max-width: 94%; margin: 0 auto; text-align: center; }
.gg-pair .gg-frame > .gg-see:not([hidden]) + .gg-waiting { top: calc(50% + 12px); }
.gg-panel .gg-pair .gg-see { min-height: 34px; padding: 6px 14px; font-size: 14px; }
.gg-head { display: flex; gap: 8px; flex: none; }
.gg-tabs { display: flex; flex-wrap: wrap; gap: 2px; flex: 1 1 auto; }
.gg-asks { display: none; margin: 0; font-weight: 600; font-size: 13px; }
.gg-facts { flex: 1 1 auto; min-width: 0; margin: 0; padding: 0 2px; height: 16px; line-height: 16px; overflow: hidden;
  font-variant-numeric: tabular-nums; border-left: 3px solid transparent; padding-left: 5px; }
.gg-facts[data-lit] { border-color: var(--gg-lit); }
.gg-panel .gg-full { padding: 0 6px; line-height: 1; }
.gg-full svg { vertical-align: middle; }
.gg-panel .gg-info { padding: 0; width: 24px; font-style: italic; font-weight: 600; font-family: Georgia, serif; }
.gg-info[aria-pressed="true"] { border-color: var(--gg-accent); }
.gg-stage { display: flex; flex-direction: column; gap: 4px; flex: 1 1 0; min-height: 240px; min-width: 0; }
.gg-side { display: flex; flex-direction: column; gap: 5px; flex: none; min-width: 0; }
.gg-says { margin: 0; opacity: .9; max-height: 80px; overflow: auto; user-select: text; }
.gg-figures { display: flex; gap: 6px; flex: 1 1 0; min-height: 180px; }
.gg-panel .gg-tabs button { flex: 1 1 auto; padding: 2px 1px; font-size: 11.5px; }
.gg-figure { position: relative; flex: 1 1 0; min-width: 0; overflow: hidden; border-radius: 4px; background: var(--gg-paper); }
.gg-ticks { position: relative; height: 22px; cursor: pointer; border-radius: 4px 4px 0 0; background: var(--gg-paper); }
.gg-panel canvas { position: absolute; left: 0; top: 0; display: block; width: 100%; height: 100%; }
.gg-tip { position: absolute; pointer-events: none; max-width: 75%; padding: 3px 7px; border-radius: 4px; font-size: 11px;
  color: var(--gg-paper); background: var(--input-text, #ddd); white-space: pre-line; }
.gg-table { position: absolute; inset: 0; overflow: auto; background: var(--gg-paper); user-select: text; }
.gg-table table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 11px; }
.gg-table th, .gg-table td { padding: 2px 7px; text-align: right; white-space: nowrap; }
.gg-table th { position: sticky; top: 0; background: var(--gg-paper); }
.gg-table tr[data-lit] td { box-shadow: inset 0 2px var(--gg-lit), inset 0 -2px var(--gg-lit); }
.gg-table tr[aria-current] td { background: var(--gg-soft); font-weight: 600; }
.gg-words { flex: none; margin: 0; max-height: 48px; overflow: auto; color: var(--input-text, #ddd); user-select: text; }
.gg-words:empty, .gg-panel:not([data-info]) .gg-words[data-quiet] { display: none; }
.gg-row { display: flex; align-items: center; gap: 6px; flex: none; }
.gg-steps { align-items: flex-end; }
.gg-track { display: flex; flex-direction: column; flex: 1 1 90px; min-width: 60px; }
.gg-row input[type="range"] { flex: 1 1 90px; min-width: 60px; margin: 0; accent-color: var(--gg-accent); height: 20px; }
.gg-row .gg-track input[type="range"] { flex: none; width: 100%; }
.gg-row output { min-width: 40px; text-align: right; font-variant-numeric: tabular-nums; }
.gg-row button { flex: none; }
.gg-row select { flex: 1 1 60px; min-width: 0; max-width: 160px; }
.gg-row .gg-knob { flex: none; max-width: 50%; text-overflow: ellipsis; }
.gg-row .gg-play { width: 30px; padding: 2px 0; }
.gg-row .gg-space { flex: 1 1 0; }
.gg-files { gap: 3px; flex-wrap: wrap; }
.gg-host { container-type: inline-size; }
@container (min-width: 421px) {
  .gg-cards.gg-columns { display: grid; grid-template-columns: repeat(var(--gg-frames), minmax(0, 1fr)); justify-items: center; gap: 0; padding: 0 var(--gg-right) 0 var(--gg-left); }
  .gg-panel .gg-columns .gg-frame { padding: 2px; width: min(calc(100% - 4px), calc((100cqh - 8px) * var(--gg-ratio) + 8px)); }
  .gg-panel .gg-columns:not([data-curve]) .gg-frame { width: min(calc(100% - 4px), calc((100cqh - 30px) * var(--gg-ratio) + 8px)); }
  .gg-columns[data-curve] .gg-frame:is([aria-pressed="true"], [data-state="failed"]) .gg-name { position: absolute; bottom: 4px; max-width: none; min-height: 0; padding: 0 6px; border-radius: 3px; background: var(--gg-paper); }
  .gg-columns[data-curve] .gg-frame:not([aria-pressed="true"], [data-state="failed"]) .gg-name { position: absolute; clip-path: inset(50%); }
}
@container (max-width: 420px) {
  .gg-cards { --gg-frames: 2 !important; container-type: inline-size; flex: none; flex-wrap: wrap; }
  .gg-panel .gg-cards .gg-frame.gg-card { width: calc(50cqw - 4px); }
  .gg-panel { overflow-y: auto; }
  .gg-panel .gg-top { flex-wrap: wrap; }
  .gg-panel .gg-top .gg-pages { order: -1; margin: 0 auto 0 0; }
  .gg-panel .gg-top .gg-verdict { flex-basis: 100%; }
  .gg-figures { min-height: 120px; }
  .gg-stage { min-height: 190px; }
  .gg-files select:not([hidden]) { flex-basis: 100%; max-width: none; }
}
.gg-tab, .gg-tab .gg-panel { min-height: 0; border-radius: 0; }
.gg-tab .gg-panel { overflow: auto; padding: 6px 8px; }
.gg-tab .gg-panel .gg-facts { height: auto; min-height: 16px; }
.gg-tab :is(.gg-advice, .gg-shelf, .gg-both) { min-height: 140px; }
.gg-tab .gg-columns { min-height: 84px; }
@container (min-width: 820px) {
  .gg-tab .gg-panel:not([data-empty]) { display: grid; gap: 6px 12px; }
  .gg-tab .gg-panel .gg-top { display: contents; }
  .gg-tab .gg-panel .gg-top .gg-pages { grid-area: bar; margin: 0; justify-self: start; }
  .gg-tab .gg-panel[data-page="advice"]:not([data-empty]) { grid-template: "bar bar" auto "rows rows" auto "say say" auto "shelf acts" auto "shelf why" minmax(0, 1fr) / minmax(0, 1fr) minmax(260px, 1fr); }
  .gg-tab .gg-panel[data-page="advice"]:has(.gg-tries:not([hidden])) { grid-template-columns: minmax(0, 1fr) minmax(260px, 360px); }
  .gg-tab .gg-panel[data-page="geometry"]:not([data-empty]) { grid-template: "bar bar bar" auto "nav stage say" auto "nav stage acts" auto "nav stage why" minmax(0, 1fr) "nav stage side" auto
    / 112px minmax(0, 1fr) minmax(220px, 300px); }
  .gg-tab .gg-bar { grid-area: bar; }
  .gg-tab .gg-verdict { grid-area: say; }
  .gg-tab .gg-panel .gg-headline { font-size: 14px; }
  .gg-tab .gg-panel[data-page="advice"] .gg-headline { font-size: 22px; }
  .gg-tab .gg-panel .gg-acts { grid-area: acts; display: flex; align-content: start; }
  .gg-tab .gg-panel .gg-explain { grid-area: why; display: block; overflow: auto; }
  .gg-tab .gg-advice { grid-area: shelf; }
  .gg-tab .gg-pair { justify-content: flex-start; }
  .gg-tab .gg-head { grid-area: nav; flex-direction: column; min-height: 0; overflow: auto; }
  .gg-tab .gg-tabs { flex-flow: column; flex: none; }
  .gg-tab .gg-panel .gg-tabs button { flex: none; text-align: left; padding: 2px 8px; font-size: inherit; }
  .gg-tab .gg-panel .gg-second { margin-top: auto; width: 100%; }
  .gg-tab .gg-stage { grid-area: stage; min-height: 180px; }
  .gg-tab :is(.gg-stage, .gg-head) { position: sticky; top: 0; align-self: start; height: calc(var(--gg-room) - 18px); }
  .gg-tab .gg-figures { min-height: 120px; }
  .gg-tab .gg-side { grid-area: side; align-self: end; }
  .gg-tab .gg-panel .gg-asks { display: block; }
  .gg-tab .gg-panel .gg-files { flex-wrap: wrap; }
}
.gg-bar .gg-pages { margin: 0; }
.gg-bar { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 8px; flex: none; }
.gg-switch { display: flex; align-items: center; gap: 6px; cursor: pointer; font-weight: 600; }
.gg-switch input { appearance: none; position: relative; width: 30px; height: 16px; margin: 0; border-radius: 8px; cursor: pointer;
  background: var(--gg-soft); border: 1px solid currentColor; box-sizing: border-box; flex: none; }
.gg-switch input::after { content: ""; position: absolute; left: 2px; top: 2px; width: 10px; height: 10px; border-radius: 5px;
  background: currentColor; }
.gg-switch input:checked { background: var(--gg-accent); border-color: var(--gg-accent); }
.gg-switch input:checked::after { left: 16px; background: var(--gg-paper); }
.gg-runs { flex: 1 1 160px; min-width: 0; max-width: 420px; }
.gg-said { flex: 1 1 240px; min-width: 0; max-height: 4em; overflow: auto; margin: 0; opacity: .85; }
.gg-said:empty { display: none; }
.gg-rows { display: flex; flex-direction: column; gap: 1px; flex: none; max-height: 100px; overflow: auto; grid-area: rows; }
.gg-panel .gg-one { display: flex; gap: 8px; flex: none; text-align: left; background: none; border-left: 4px solid var(--gg-tone); border-radius: 0; }
.gg-panel .gg-one[aria-pressed="true"] { background: var(--gg-soft); }
.gg-one .gg-who { flex: none; font-weight: 600; }
.gg-one .gg-brief { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.gg-panel[data-page="geometry"] .gg-rows { display: none; }
.gg-tries { flex: 1 0 auto; display: flex; flex-direction: column; gap: 6px; min-width: 0; min-height: 0; }
.gg-panel button.gg-card[aria-pressed="true"] { border-color: var(--gg-fine); }
.gg-card[data-state="failed"] { opacity: .5; }
.gg-tries .gg-row { flex-wrap: wrap; }
.gg-curve { flex: none; min-width: 0; }
${curveStyle("var(--gg-accent)", "var(--comfy-menu-bg, #353535)")}
.gg-seen { display: flex; flex-direction: column; gap: 4px; flex: 1 1 auto; min-height: 0; min-width: 0; }
.gg-both { display: flex; gap: 8px; flex: 1 1 0; min-height: 190px; min-width: 0; }
.gg-seeds { display: grid; grid-template-rows: auto repeat(var(--gg-rows, 4), minmax(0, 1fr)); gap: 2px; flex: none; }
.gg-heads { display: grid; grid-template-columns: 1fr 1fr; text-align: center; font-variant-numeric: tabular-nums; }
.gg-panel .gg-seed { display: grid; grid-template-columns: 1fr 1fr; gap: 2px; padding: 1px; min-height: 0; aspect-ratio: 2; border: 2px solid transparent; }
.gg-panel .gg-seed[aria-pressed="true"] { border-color: var(--gg-accent); }
.gg-panel .gg-seed :is(img, canvas) { position: static; display: block; width: 100%; height: 100%; min-width: 0; min-height: 0; object-fit: contain; }
.gg-strange, .gg-means { flex: none; margin: 0; user-select: text; }
.gg-strange { font-weight: 600; }
.gg-means { opacity: .85; }
@container (max-width: 420px) {
  .gg-seen { flex: none; }
  .gg-both { flex-direction: column; flex: none; }
  .gg-both .gg-pair { order: -1; flex: none; height: 190px; }
  .gg-seeds { grid-template: none; grid-template-columns: 1fr 1fr; }
  .gg-heads { display: none; }
}
.gg-panel.gg-present { width: 100vw; height: 100dvh; max-width: none; max-height: none; margin: 0; padding: 0; border: 0; border-radius: 0; }
.gg-panel.gg-present:not([open]) { display: none; }
.gg-present-all { box-sizing: border-box; display: flex; flex-direction: column; gap: 14px; width: 100%; height: 100%; padding: 20px 28px; font-size: 24px; line-height: 1.3;
  color: var(--input-text, #ddd); background: var(--gg-paper); overflow: auto; }
.gg-present-all > * { flex: none; }
.gg-present-top { display: flex; align-items: flex-start; gap: 24px; }
.gg-present-top h2 { flex: 1 1 auto; margin: 0; font-size: 28px; line-height: 1.25; font-weight: 600; }
.gg-panel.gg-present button { flex: none; min-width: 44px; min-height: 44px; font-size: 24px; padding: 0 10px; }
.gg-present-all > .gg-slides { flex: 1 1 0; min-height: 160px; }
.gg-slide { display: flex; justify-content: center; gap: 8px; height: 100%; }
.gg-panel .gg-slide :is(img, canvas) { position: static; flex: 0 1 auto; width: auto; min-width: 0; height: 100%; object-fit: contain; }
.gg-present-line { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 14px; }
.gg-present-line p { margin: 0; }
.gg-slides[hidden] ~ .gg-present-line { margin-top: auto; }
.gg-slides[hidden] ~ .gg-present-plot { margin-bottom: auto; }
.gg-present-line:has(.gg-said-of:empty) { justify-content: center; }
.gg-said-of:empty { display: none; }
.gg-at-value { min-width: 6ch; text-align: center; font-size: 34px; font-weight: 600; font-variant-numeric: tabular-nums; border-radius: 4px; }
.gg-said-of { flex: 1 1 20ch; }
.gg-present-plot { cursor: pointer; }
.gg-present-plot .gg-behind { fill: var(--gg-paper); }
.gg-present-plot .gg-curve-plot { width: 100%; height: auto; }
@media (orientation: portrait) {
  .gg-slide { display: grid; grid-template-columns: 1fr 1fr; grid-auto-rows: minmax(0, 1fr); }
  .gg-panel .gg-slide :is(img, canvas) { width: 100%; }
}
.gg-tried { flex: 1 1 300px; margin: 0; }
.gg-panel .gg-takeAgain { background: var(--gg-accent); color: var(--gg-paper); font-weight: 600; }
.gg-panel[data-empty] > :not(style, .gg-bar), .gg-panel[data-empty] .gg-pages { display: none; }
.gg-panel[data-empty] .gg-bar { flex-direction: column; align-items: flex-start; gap: 10px; padding: 6px; }
.gg-panel[data-empty] .gg-said { max-width: 64ch; max-height: none; font-size: 14px; line-height: 1.5; flex: none; }
@media (forced-colors: active) {
  .gg-panel :is(.gg-figure, .gg-ticks, .gg-shots, .gg-switch input) { forced-color-adjust: none; }
  .gg-panel .gg-table { forced-color-adjust: auto; }
  .gg-switch input { background: Canvas; border-color: CanvasText; color: CanvasText; }
  .gg-switch input:checked { background: Highlight; border-color: Highlight; }
  .gg-switch input:checked::after { background: HighlightText; }
  .gg-panel :is(.gg-pages, .gg-tabs) button[aria-selected="true"] { forced-color-adjust: none; background: Highlight; color: HighlightText; }
  .gg-panel button.gg-card[aria-pressed="true"] { border-color: Highlight; }
}
`;
