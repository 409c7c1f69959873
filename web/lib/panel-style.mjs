// @ts-check
/** Style of the panel: the editor's colours, each with a fallback, under one class prefix. */
export const STYLE = `
.gg-host { display: flex; flex-direction: column; min-height: 430px; height: 100%; width: 0; min-width: 100%; }
.gg-panel { position: relative; display: flex; flex-direction: column; gap: 6px; flex: 1 1 0; width: 100%; min-height: 430px;
  box-sizing: border-box; padding: 6px; overflow: hidden; border-radius: 6px; font: 12px/1.35 Inter, Arial, sans-serif;
  color: var(--input-text, #ddd); background: var(--comfy-menu-bg, #353535); }
.gg-panel:focus-visible, .gg-panel :focus-visible { outline: 2px solid var(--gg-accent); outline-offset: 1px; }
.gg-panel[data-theme="dark"] { --gg-accent: #4FA8E0; --gg-paper: #1E1E1E; --gg-soft: rgba(255, 255, 255, .09); --gg-lit: #F0E442;
  --gg-fine: #2DC08F; --gg-above: #F08A3C; --gg-unclear: #C8C8C8; }
.gg-panel[data-theme="light"] { --gg-accent: #005A8C; --gg-paper: #FFFFFF; --gg-soft: rgba(0, 0, 0, .07); --gg-lit: #8A6500;
  --gg-fine: #00785A; --gg-above: #B04700; --gg-unclear: #595959; }
.gg-panel [hidden] { display: none; }
.gg-panel button, .gg-panel select { font: inherit; color: inherit; background: var(--gg-soft); border: 1px solid transparent;
  border-radius: 4px; padding: 2px 8px; min-height: 24px; cursor: pointer; margin: 0; }
.gg-panel select option { color: #222; background: #fff; }
.gg-panel button:hover:not(:disabled), .gg-panel select:hover { border-color: var(--gg-accent); }
.gg-panel button:disabled { opacity: .5; cursor: default; }
.gg-verdict { display: flex; flex-direction: column; gap: 4px; flex: none; border-left: 4px solid var(--gg-tone); padding-left: 6px; --gg-tone: var(--gg-unclear); }
.gg-verdict[data-colour="fine"] { --gg-tone: var(--gg-fine); }
.gg-verdict[data-colour="above"] { --gg-tone: var(--gg-above); }
.gg-panel .gg-why { flex: 1 1 auto; display: flex; gap: 6px; align-items: baseline; min-width: 0; text-align: left; font-weight: 600; background: none; padding: 2px; }
.gg-sign { flex: none; color: var(--gg-tone); }
.gg-why::after { content: "\\25be"; flex: none; margin-left: auto; opacity: .7; }
.gg-why[aria-expanded="true"]::after { content: "\\25b4"; }
.gg-panel .gg-apply { background: var(--gg-accent); color: var(--gg-paper); font-weight: 600; }
.gg-reasons { max-height: 150px; overflow: auto; user-select: text; }
.gg-reasons ul { margin: 0 0 4px; padding-left: 18px; }
.gg-reasons ul + ul { border-top: 1px solid var(--gg-soft); padding-top: 4px; }
.gg-head { display: flex; gap: 8px; flex: none; }
.gg-tabs { display: flex; flex-wrap: wrap; gap: 2px; flex: 1 1 auto; }
.gg-facts { flex: none; margin: 0; padding: 0 2px; min-height: 16px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  font-variant-numeric: tabular-nums; border-left: 3px solid transparent; padding-left: 5px; }
.gg-facts[data-lit] { border-color: var(--gg-lit); }
.gg-figures { display: flex; gap: 6px; flex: 1 1 0; min-height: 200px; }
.gg-panel .gg-tabs button { flex: 1 1 auto; padding: 2px 1px; }
.gg-tabs button[aria-selected="true"] { background: var(--gg-accent); color: var(--gg-paper); font-weight: 600; }
.gg-figure { position: relative; flex: 1 1 0; min-width: 0; overflow: hidden; border-radius: 4px; background: var(--gg-paper); }
.gg-ticks { position: relative; height: 26px; cursor: pointer; border-radius: 4px 4px 0 0; background: var(--gg-paper); }
.gg-panel canvas { position: absolute; left: 0; top: 0; display: block; width: 100%; height: 100%; }
.gg-tip { position: absolute; pointer-events: none; max-width: 75%; padding: 3px 7px; border-radius: 4px; font-size: 11px;
  color: var(--gg-paper); background: var(--input-text, #ddd); white-space: pre-line; }
.gg-table { position: absolute; inset: 0; overflow: auto; background: var(--gg-paper); user-select: text; }
.gg-table table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 11px; }
.gg-table th, .gg-table td { padding: 2px 7px; text-align: right; white-space: nowrap; }
.gg-table th { position: sticky; top: 0; background: var(--gg-paper); }
.gg-table tr[data-lit] td { box-shadow: inset 0 2px var(--gg-lit), inset 0 -2px var(--gg-lit); }
.gg-table tr[aria-current] td { background: var(--gg-soft); font-weight: 600; }
.gg-words { flex: none; margin: 0; min-height: 16px; max-height: 48px; overflow: auto; color: var(--input-text, #ddd); }
.gg-row { display: flex; align-items: center; gap: 6px; flex: none; }
.gg-steps { align-items: flex-end; }
.gg-track { display: flex; flex-direction: column; flex: 1 1 90px; min-width: 60px; }
.gg-row input[type="range"] { flex: 1 1 90px; min-width: 60px; margin: 0; accent-color: var(--gg-accent); height: 20px; }
.gg-row .gg-track input[type="range"] { flex: none; width: 100%; }
.gg-row output { min-width: 40px; text-align: right; font-variant-numeric: tabular-nums; }
.gg-row button { flex: none; }
.gg-row select { flex: 1 1 60px; min-width: 0; max-width: 160px; }
.gg-row .gg-play { width: 30px; padding: 2px 0; }
.gg-row .gg-space { flex: 1 1 0; }
.gg-files { gap: 3px; flex-wrap: wrap; }
.gg-host { container-type: inline-size; }
@container (max-width: 560px) {
  .gg-panel .gg-facts { white-space: normal; }
}
@container (max-width: 420px) {
  .gg-panel { overflow-y: auto; }
  .gg-figures { min-height: 120px; }
  .gg-files select:not([hidden]) { flex-basis: 100%; max-width: none; }
}
.gg-tab, .gg-tab .gg-panel { min-height: 0; border-radius: 0; }
.gg-tab .gg-panel { overflow: auto; padding: 8px; }
@container (min-width: 820px) {
  .gg-tab .gg-panel:not([data-empty]) { display: grid; grid-template-columns: 1fr 1fr; gap: 6px 16px;
    grid-template-rows: auto auto auto minmax(150px, 1fr) auto auto; }
  .gg-tab :is(.gg-bar, .gg-verdict, .gg-figures) { grid-column: 1 / -1; }
  .gg-tab .gg-bar { grid-row: 1; }
  .gg-tab .gg-verdict { grid-row: 2; }
  .gg-tab :is(.gg-head, .gg-facts) { grid-row: 3; }
  .gg-tab .gg-figures { grid-row: 4; }
  .gg-tab .gg-facts { align-self: center; }
  .gg-tab .gg-figures { min-height: 0; }
  .gg-tab .gg-words { grid-area: 5 / 1; }
  .gg-tab .gg-what { grid-area: 5 / 2; }
  .gg-tab .gg-steps { grid-area: 6 / 1; }
  .gg-tab .gg-files { grid-area: 6 / 2; align-self: end; }
}
.gg-bar { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 8px; flex: none; }
.gg-switch { display: flex; align-items: center; gap: 6px; cursor: pointer; font-weight: 600; }
.gg-switch input { appearance: none; position: relative; width: 30px; height: 16px; margin: 0; border-radius: 8px; cursor: pointer;
  background: var(--gg-soft); border: 1px solid currentColor; box-sizing: border-box; flex: none; }
.gg-switch input::after { content: ""; position: absolute; left: 2px; top: 2px; width: 10px; height: 10px; border-radius: 5px;
  background: currentColor; }
.gg-switch input:checked { background: var(--gg-accent); border-color: var(--gg-accent); }
.gg-switch input:checked::after { left: 16px; background: var(--gg-paper); }
.gg-runs { flex: 1 1 160px; min-width: 0; max-width: 420px; }
.gg-said { flex: 1 1 auto; margin: 0; opacity: .85; }
.gg-said:empty { display: none; }
.gg-tries { flex: 1 1 100%; display: flex; flex-direction: column; gap: 6px; padding: 6px; border-radius: 4px; background: var(--gg-soft); min-width: 0; }
.gg-cards { display: flex; gap: 6px; overflow-x: auto; }
.gg-panel .gg-card { flex: 1 1 0; min-width: 92px; max-width: 240px; margin: 0; padding: 4px; display: flex; flex-direction: column; gap: 4px;
  align-items: center; border: 2px solid transparent; border-radius: 6px; background: var(--gg-paper); box-sizing: border-box; }
.gg-panel button.gg-card[aria-pressed="true"] { border-color: var(--gg-fine); }
.gg-shots { display: grid; grid-template-columns: repeat(auto-fit, minmax(40px, 1fr)); gap: 2px; width: 100%; min-height: 88px; }
.gg-panel .gg-shots :is(img, canvas) { position: static; width: 100%; height: auto; max-height: 150px; object-fit: contain; image-rendering: auto; }
.gg-card[data-state="waiting"] .gg-shots { background: var(--gg-soft); border-radius: 4px; }
.gg-card[data-state="failed"] { opacity: .5; }
.gg-name { font-variant-numeric: tabular-nums; }
.gg-tries .gg-row { flex-wrap: wrap; }
.gg-tried { flex: 1 1 200px; margin: 0; }
.gg-panel .gg-take { background: var(--gg-accent); color: var(--gg-paper); font-weight: 600; }
.gg-panel[data-empty] > :not(style, .gg-bar) { display: none; }
.gg-panel[data-empty] .gg-bar { flex-direction: column; align-items: flex-start; gap: 10px; padding: 6px; }
.gg-panel[data-empty] .gg-said { max-width: 64ch; font-size: 14px; line-height: 1.5; flex: none; }
`;
