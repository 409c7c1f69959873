// @ts-check
/** Every view of the panel, in the order of its tabs. A new one is an entry here and a function that draws it.
 *
 * name: in the properties of saved nodes, and so for good; in names of files. en, zh: the word on the tab, its tooltip, and the question
 * that it answers, by which the tabs are ordered.
 * figure(record, {w, h, theme, step, sample, gamma}) -> drawing commands. record: the header of a run with "steps", a
 * list of step records in which some may be missing; step, sample: numbers, left out for the ones that tell most;
 * gamma: another scale; mix: its picture (whatif.mjs). Pure: no DOM, no time, no chance. title: of the drawing as a file.
 * pictures(context, pictures, images, state) -> boxes with a step: instead of `figure`, a view of the run's pictures.
 * available(record): whether there is something to see. lacking(step): key of a sentence about what is missing there.
 * partner: the view beside it. ofStep: it shows the lit step itself, where others mark it. scales: it reads gamma.
 * tells: metrics that the pointer is told of a step. says, marks: how to read it; says is the fourth word of zh, and marks
 * stand on pages, which are in English.
 */
import { direction, lengths, matters } from "./curves.mjs";
import { effective } from "./effective.mjs";
import { asksOnce, hasPair } from "./gram.mjs";
import { bar, CURSOR, dashed, NOISE, pale, PREDICTIONS, ray } from "./legend.mjs";
import { filmstrip, heatMap } from "./panel-pictures.mjs";
import { figure as plane } from "./plane.mjs";
import { PENS } from "./theme.mjs";
import { figure as whatif } from "./whatif.mjs";

const always = () => true;
/** @param {Run} record */
const withPair = (record) => record.steps.some(({ stage }) => stage !== "cond_only" && stage !== "recur");
/** @param {Run} record */
const withPictures = (record) => Boolean(record?.pictures?.steps?.length);

/** @type {View[]} */
export const VIEWS = [
  {
    name: "effective", title: "Effective scale", figure: effective, available: withPair, partner: "plane", tells: ["M19", "M19a"],
    en: ["Effective scale", "The scale that guidance acts like at each step, beside cfg.", "How strong was guidance?"], zh: ["有效强度", "每一步的引导相当于多大的 cfg。", "引导有多强？",
      "引导实际有多强：每一步给出单独最接近该步效果的 cfg，与节点上的 cfg 并列。cfg 做不到的部分横向于差异，下方是它在推动平方中的份额。"],
    says: "How strong guidance really was. The curve is the cfg that comes nearest to what each step did, beside the cfg of "
        + "the node. Below it is the share of the push (in squares) that no cfg could make.",
    marks: [
      [dashed("delta", null, "diamond"), "the cfg that the step acts like; the band holds 80 % of the samples"],
      [dashed("reach", [6, 4]), "cfg, as the node says"],
      [dashed("step", [5, 3], "circle"), "share of the push that no cfg can do"],
      CURSOR,
    ],
  },
  {
    name: "matters", title: "Where guidance matters", figure: matters, available: withPair, partner: "plane",
    tells: ["M1", "M2"],
    en: ["Which steps", "How far each step's guidance moves the result.", "At which steps did it push?"], zh: ["哪些步", "每一步的引导对结果的推动。", "哪些步在推动？",
      "引导在哪些步推动最多。条形是测量值。每次推动在成图中留下多少只是估计：在该步关闭引导再运行一次，才能看出它做了什么。灰色区域占推动的 80 %。"],
    says: "At which steps guidance pushed most. The bars are measured. What is left of each push in the finished picture is "
        + "an estimate: only a second run without guidance at that step shows what it did. The grey band holds 80 % of the push.",
    marks: [
      [bar("delta", 0.45), "push: how far guidance takes the step beyond the prompt alone"],
      [dashed("c", PENS.c.dash, "square"), "what is left of it at the end, an estimate"],
      [bar("reach", 0.3), "steps that hold 80 % of the push"],
      CURSOR,
    ],
  },
  {
    name: "plane", title: "Step plane", figure: plane, available: withPair, partner: "matters", ofStep: true,
    en: ["Plane", "One step, drawn to scale.", "What happened in one step?"], zh: ["平面", "按比例绘制的一步。", "一步中发生了什么？",
      "按比例绘制的一步。γδ 离 x\u0302₀ 越远，引导使这一步弯得越多。引导强度是 γδ 的长度除以从噪声图 x_t 到 x\u0302₀ 的距离，每次运行到最后都会变大。靠得太近的部分用放大镜显示，倍数写在上方。"],
    says: "One step, drawn to scale. The further \u03b3\u03b4 leads away from x\u0302\u2080, the more guidance bends the step. "
        + "Guidance strength is its length, divided by the way from the noisy picture x_t to x\u0302\u2080; it grows towards "
        + "the end of every run. A lens enlarges what lies too close together; its factor stands above it.",
    marks: [
      ...PREDICTIONS,
      [ray("D"), "D: the same after rules and other nodes. Where it leaves \u03b3\u03b4, an arrow beside \u03b4 shows the part of its push "
        + "along \u03b4; what goes across mostly points out of this plane"],
      NOISE,
    ],
  },
  {
    name: "whatif", title: "What if", figure: whatif, available: withPair, partner: "matters", ofStep: true, scales: true,
    lacking: (step) => (!hasPair(step) ? null : step.kappa == null ? "noKappa" : asksOnce(step) ? null : "stages"),
    en: ["What if", "The same step at another cfg.", "What would another cfg do?"], zh: ["假设", "同一步，换一个强度。", "换一个 cfg 会怎样？",
      "换一个 cfg（γ′），这一步会怎样：拖动滑块。只有这一步是精确的，因为之后的步会从别处开始。曲线给出每个 γ′ 的引导强度和预测的大小，图片就是预测本身。"],
    says: "What this step would do at another cfg \u03b3\u2032: drag the slider. Only this step is exact: with another cfg, later "
        + "steps would start elsewhere. The curves give guidance strength and size of the prediction for every \u03b3\u2032; "
        + "the picture is the prediction itself.",
    marks: [
      ...PREDICTIONS.slice(0, 6),
      [pale, "where the run itself aimed"],
      [dashed("reach", PENS.reach.dash), "how far the slider reaches"],
    ],
  },
  {
    name: "pictures", pictures: filmstrip, available: withPictures, partner: "heat",
    en: ["Filmstrip", "The run as pictures.", "How did the picture come about?"], zh: ["胶片条", "以图片显示整个运行。", "图片是怎样形成的？",
      "以图片显示整个运行，一列为一步：噪声图、不带和带提示词的预测、引导后的预测、二者的差异（灰底），以及差异大的位置。"],
    says: "The run as pictures, a column for each step: the noisy picture, the model's guess without the prompt and with it, "
        + "what guidance made of the two, their difference on grey, and where it is large.",
    marks: [],
  },
  {
    name: "heat", pictures: heatMap, available: withPictures, partner: "pictures", ofStep: true,
    en: ["Where", "Where the prompt acts.", "Where in the picture does it act?"], zh: ["位置", "条件作用的位置。", "它作用在图片的哪里？",
      "放大的一步。暖色是提示词改变预测的位置，差异中的灰色表示没有变化。"],
    says: "One step large. Warm places are where the prompt changes the prediction; grey in the difference means no change.",
    marks: [],
  },
  {
    name: "direction", title: "Direction over the run", figure: direction, available: withPair, partner: "plane",
    tells: ["M2", "M13"],
    en: ["Direction", "How the difference that the prompt makes turns over the run.", "Does it always push the same way?"], zh: ["方向", "差异在整个运行中如何转向。", "它始终朝同一方向推动吗？",
      "提示词是否始终朝同一方向拉：它造成的差异从一步到下一步转了多少度，以及差异有多大。差异很小时，转向没有多少意义。"],
    says: "Whether the prompt always pulls the same way. The curve says how far the difference that it makes turns from one "
        + "step to the next, in degrees; the bars say how large it is. Where it is tiny, its turns mean little.",
    marks: [[dashed("delta", null, "diamond"), "turn to the next step"], [bar("delta", 0.45), "size of the difference, rms"], CURSOR],
  },
  {
    name: "lengths", title: "Step and noise", figure: lengths, available: always, partner: "plane", tells: ["M7", "M8"],
    en: ["Lengths", "Step against noise.", "How much of a step is noise?"], zh: ["长度", "步长与噪声对比。", "一步中有多少是噪声？",
      "每一步有多长，对照采样器加入的噪声和引导推动的部分。"],
    says: "How long each step is, beside the noise that the sampler adds and the part that guidance pushes.",
    marks: [
      [dashed("step", null, "disc"), "step"],
      [dashed("noise", [5, 3], "circle"), "noise, if the sampler adds any"],
      [dashed("delta", [2, 3], "diamond"), "push of guidance"],
      CURSOR,
    ],
  },
]; // the end of the tabs

/** The view of a name; undefined of no view's.
 * @returns {View}
 * @param {string} name
 */
export const viewOf = (name) => /** @type {View} */ (VIEWS.find((view) => view.name === name));

/** Words of all tabs, tooltips, questions, and how to read them, in a language: {plane, planeTip, planeAsks, planeSays, ...}.
 * @param {string} language
 */
export const viewWords = (language) =>
  Object.fromEntries(VIEWS.flatMap(({ name, en: [word, tip, asks = ""], says, ...more }) =>
    Object.entries({ "": word, Tip: tip, Asks: asks, Says: says }).map(([kind, words], k) => [`${name}${kind}`, /** @type {any} */ (more)[language]?.[k] ?? words])));
