/** Words of the panel. English stands alone; another language falls back to it word by word. */

const EN = {
  plane: "Plane", whatif: "What if", direction: "Turns", matters: "Matters", lengths: "Lengths", pictures: "Film",
  heat: "Heat", panel: "Guidance inspector", views: "Views", step: "Step", sample: "Sample", play: "Play the run",
  pause: "Pause", scale: "What-if scale γ", use: "Use γ {value}",
  useTip: "Write this scale into {node}", linked: "γ comes in over a link: change {node} instead",
  promoted: "γ is set outside this subgraph: change {node} instead", nowhere: "No node with a cfg was found upstream",
  written: "cfg of {node} is now {value}. Queue to see it.", numbers: "Numbers", numbersTip: "Show the numbers as a table",
  csv: "CSV", csvTip: "Copy this sample's numbers as CSV", svg: "SVG", svgTip: "Save this view as SVG; it reopens the workflow",
  png: "PNG", pngTip: "Save this view as PNG; it reopens the workflow", copied: "Copied {rows} rows",
  empty: "No run yet. Queue the workflow: steps are drawn as they happen.", reading: "Reading the record …",
  gone: "The record of this run is no longer on the server. Queue again.",
  newer: "This record is of version {v}; this panel reads version 1. Update the pack and reload the page.",
  nothing: "This run took no step (denoise 0?).", running: "step {i} of {n} · live", stopped: "Stopped at step {i} of {n}.",
  leftOut: "This node was not part of the last run; an earlier one is shown.",
  hole: "Step {i} did not arrive; the finished run fills it in.", condOnly: "uncond was not evaluated: γ = {gamma}.",
  condOnlyElse: "uncond was not evaluated at this step.", reuse: "The difference was reused from an earlier step.",
  skip: "No prediction was evaluated at this step.",
  noKappa: "This sampler's step is no fixed share of the prediction: what-if shows the prediction, not the next state.",
  noDifference: "uncond and cond agree here: no scale would change anything.",
  subset: "{shown} of {batch} samples are kept.", diverged: "Values are not finite here: the run diverged.",
  nearest: "Pictures of step {i}, the nearest that was kept.", loading: "Pictures come when the run has ended.",
  noPicture: "The picture of step {i} is no longer on the server. Queue again.", noPictures: "No pictures in this run.",
  gain: "difference = grey + {gain} × change, {clipped} % clipped; heat = root of its length, up to {scale} rms", noSvg: "Pictures save as PNG",
  x: "x_t", uncond: "uncond", cond: "cond", guided: "guided", difference: "difference", where: "where",
  at: "step {i} · σ {sigma} → {next} · γ {gamma}",
};
const ZH = {
  plane: "平面", whatif: "假设", direction: "转向", matters: "作用", lengths: "长度",
  pictures: "胶片", heat: "热图", panel: "引导检查器", views: "视图", step: "步",
  sample: "样本", play: "播放", pause: "暂停", scale: "假设的 γ",
  use: "使用 γ {value}", useTip: "将此值写入 {node}",
  linked: "γ 来自连线：请改动 {node}", promoted: "γ 在子图外设置：请改动 {node}",
  nowhere: "上游没有带 cfg 的节点", written: "{node} 的 cfg 现为 {value}。请重新运行。",
  numbers: "数值", numbersTip: "以表格显示数值", csvTip: "复制为 CSV", svgTip: "保存为 SVG（可重新打开工作流）",
  pngTip: "保存为 PNG（可重新打开工作流）", copied: "已复制 {rows} 行",
  empty: "尚未运行。运行工作流后将逐步绘制。", reading: "读取中 …",
  gone: "服务器上已无此记录。请重新运行。", running: "第 {i} 步，共 {n} 步 · 实时",
  stopped: "在第 {i} 步（共 {n} 步）停止。", leftOut: "此节点未参与上次运行；显示的是更早的结果。",
  condOnly: "未计算 uncond：γ = {gamma}。", condOnlyElse: "此步未计算 uncond。", noPictures: "此次运行没有图片。",
  guided: "引导后", difference: "差异", where: "位置", at: "第 {i} 步 · σ {sigma} → {next} · γ {gamma}",
  newer: "此记录为版本 {v}；面板只能读取版本 1。请更新插件并重新加载页面。",
  nothing: "此次运行没有步（降噪为 0？）。",
  hole: "第 {i} 步未送达；运行结束后会补上。",
  reuse: "差异沿用了较早的一步。",
  skip: "此步没有计算任何预测。",
  noKappa: "此采样器的步进不是预测的固定比例：假设视图只显示预测，不显示下一状态。",
  noDifference: "此处 uncond 与 cond 一致：任何强度都不会改变结果。",
  subset: "保留了 {batch} 个样本中的 {shown} 个。",
  diverged: "数值不是有限数：运行已发散。",
  nearest: "显示第 {i} 步的图片（保留的最近一步）。",
  loading: "图片将在运行结束后出现。",
  noPicture: "服务器上已无第 {i} 步的图片。请重新运行。",
  gain: "差异 = 灰 + {gain} × 变化，截断 {clipped} %；热图 = 长度的平方根，上限 {scale} rms",
  noSvg: "图片可保存为 PNG",
};

/** t(key, values): words in a language ("zh", "zh-TW", ... or English), with {names} filled in. */
export function speaker(locale) {
  const words = String(locale).startsWith("zh") ? { ...EN, ...ZH } : EN;
  return (key, values = {}) => (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
