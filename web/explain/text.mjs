// @ts-check
/** Words of the page, in English and in Simplified Chinese; where one is missing, the English one stands. */
import { speaker } from "../lib/strings.mjs";
import { fillIn } from "../lib/words.mjs";

/** @type {Record<string, string>} */
const EN = {
  title: "What does cfg do?",
  lead: "A small picture model, alive in this page: nothing is installed, nothing is sent.",
  language: "中文", other: "zh", present: "Present", presentTip: "Fill the screen, with large type. Arrow keys go from screen to screen, Escape ends it.",
  link: "Copy link", linkTip: "A link that opens this page as it is now", linkCopied: "Copied", linkShown: "The link is in the address bar",
  back: "Back", next: "Next", screens: "Screens", screenOf: "Screen {n} of {all}: {title}", workbench: "Workbench",
  idle: "Ready", starting: "Reading the model …", computing: "Computing …", computed: "{done} of {all}", failed: "This could not be computed: {why}",
  again: "Start again", againTip: "All settings as they were at first",
  gamma: "cfg (γ)", steps: "Steps", sampler: "Sampler", label: "Label", seed: "Seed", noise: "Noise", rule: "Rule", pictures: "Pictures of each", stepLabelled: "Step", another: "Another",
  euler: "Euler: no fresh noise", ddpm: "DDPM: fresh noise", mapHint: "Each point stands for a picture, each disc is one kind of picture. Drag x, or press the arrow keys here.", mapMeaning: "Each point stands for a picture, each disc is one kind of picture.",
  inPlane: "In a plane", ofModel: "In the model", sources: "Sources", more: "Read more", packOf: "Part of Guidance Geometry, a node pack for ComfyUI.", story: "The geometry of guidance", plainStory: "What is guidance?", ownMeasure: "What the numbers can and cannot say",
  post: "After Sander Dieleman, “The geometry of diffusion guidance”",
  cfg: "CFG (plain)", apg: "APG", rescale: "Rescale", zero: "CFG-Zero*", interval: "Interval 20–80 %", skim: "Skimmed",

  s1: "Noise, and a prediction", s1a: "A picture model is trained on pictures under noise: it is shown a noisy one, x, and has to say what the clean one was.",
  s1b: "Many clean pictures may lie behind one noisy picture, so the best it can say is their average: the prediction.",
  s1c: "Drag x, or move the noise: the more noise, the more pictures are possible, and the blurrier the prediction.",
  s2: "A small step", s2a: "An average of many pictures is not a picture, so the sampler does not jump to the prediction: it goes a small part of the way, and asks again.",
  s2b: "From the new place fewer pictures are possible, so the next prediction is sharper, and another.",
  s2c: "Follow the path to its end: after the last step nothing is left but one clean picture.",
  s3: "Noise again", s3a: "Some samplers add a little fresh noise after every step; DDPM does, Euler does not.",
  s3b: "The step is what the model decides, and the noise is chance: it points in any direction.",
  s3c: "So one start leads to many pictures with DDPM, and to one and the same with Euler.",
  s4: "A classifier’s push", s4a: "So far nobody has said what the picture should show. A classifier looks at the noisy x and says how probable each label is, such as “monster”.",
  s4b: "The push is the direction in which the wanted label becomes more probable; it is added to the prediction.",
  s4c: "Followed at every step, it mostly leads to a picture of the label instead of just any picture.",
  s5: "Two predictions, one difference", s5a: "A model that was trained with labels needs no classifier: it is asked twice about the same x, once without the label and once with it.",
  s5b: "The arrow from the first answer to the second is what the label adds, and by Bayes’ rule it is exactly the classifier’s push: the wide band under it.",
  s5c: "With much noise it is a whole picture, later a detail, in the end nothing.",
  s6: "Scaled by cfg", s6a: "Guidance multiplies the difference by γ, the number that most programs call cfg, and aims there: guided = without + cfg × (with − without).",
  s6b: "At 0 the label does not count, at 1 the model answers as it has learned to, and beyond 1 the aim lies past both predictions.",
  s6c: "Raise cfg and watch: the aim leaves the region in which pictures lie, and the path bends after it.",
  s7: "What too much does", s7a: "Some cfg helps: in the training 3 of 10 labels were drawn at random, so at cfg 1 about one picture in four shows something else, and a higher cfg repairs that.",
  s7b: "Too much burns: at cfg 13 every step aims 13 times as far from the answer without the label as the model’s own answer with it lies, past all pictures that it knows, and such places look glaring.",
  s7c: "And pictures of one label become alike, for all runs are pushed the same way: the points crowd at one edge of the green region and beyond.",
  s8: "The workbench", s8a: "The same seeds at eight values of cfg. Every picture is made by the model in this page, and then the model is asked how strange it finds it.",
  s8b: "That is no measure of quality: it tells from which cfg on the model would not draw such pictures by itself.",
  s8c: "Choose a picture to see its steps, and another rule to see what it changes.",

  mapPrediction: "A noisy point x, the clean points that may lie behind it, and their average", mapStep: "The path from x to a clean point, in small steps",
  mapNoise: "Paths from one x with fresh noise", mapPush: "Where the label is probable, and the push of a classifier", mapPair: "Both predictions at x, and their difference",
  mapScaled: "The difference times cfg, and the path that it makes", mapMuch: "Where many runs end, over the density that guidance is said to sample",
  thePrediction: "prediction", noisyX: "x", aStep: "step", theEnd: "end", freshNoise: "fresh noise", thePush: "push", theDifference: "difference", without: "without label", withLabel: "with label", theGuided: "guided",
  saidPrediction: "Dots: clean points that may lie behind x. About {looks} of {all} kinds of picture are possible.",
  saidStep: "One of {n} steps goes {share} % of the way to the prediction. Grey: the path of endlessly many steps.",
  saidNoise: "Orange: {runs} runs from the same x with fresh noise end at {ends} {ends:label|different labels}. This step is {step} long, its noise {noise}. Black: Euler.",
  saidPush: "The classifier says {share} % {label} at x. Its push is {length} long. Pink: with the push, blue: without.",
  saidPair: "Difference {delta}, the classifier’s push {push}: the same arrow. It is {way} % as long as the way from x to the prediction.",
  saidScaled: "The difference is {delta} long; cfg {gamma} aims {D} away from the prediction without the label, {away} from the nearest kind of picture.",
  saidMuch: "{n} runs at cfg {gamma}: {right} % show {label}, {outside} % end outside of every kind of picture. Spread {spread}; the density p(x) p(y|x)^γ, green, has {wanted}.",

  clean: "a clean picture", noisy: "under noise: x", predicted: "the prediction", withoutShort: "without label", withShort: "with label: {label}", guidedShort: "guided, cfg {gamma}",
  differenceShort: "difference × {times}", stepShort: "step {i}", endShort: "the end", ending: "{sampler}, run {i}", eulerShort: "Euler", ddpmShort: "DDPM", atCfg: "cfg {gamma}", yourCfg: "your cfg {gamma}",
  filmX: "x", filmD: "prediction", pairSaid: "The difference is {share} % as long as the way from x to the prediction.", probabilities: "What the classifier says of x",
  filmLabel: "Noisy pictures of a run, and the predictions at each",

  benchSeeds: "Columns: cfg. Rows: seeds. Choose a picture for its steps.", pictureAt: "cfg {cfg}, seed {seed}", benchWait: "The numbers appear as soon as two values of cfg are done.",
  numbersOf: "Numbers", valueOf: "cfg", strengthOf: "prompt strength", ratioOf: "denoising ratio", varietyOf: "variety", timesOf: "times as strange as the least", range: "{value} ({low} to {high})",
  strengthTip: "0: as without the label. 1: as the model draws it by itself.", ratioTip: "1: as strange to the model as its own pictures.", varietyTip: "How much pictures of the label differ. 1: as at cfg 1.",
  benchSure: "{pictures} pictures of each value, one pair of noise at each level: 95 % intervals, wide where pictures are few.",
  planeTitle: "This step, to scale", scaleTitle: "Which cfg the run acted like", stepNumber: "step {i} of {n}",
  plant: "plant", monster: "monster", robot: "robot", person: "person", planet: "planet", smiley: "smiley", stones: "stones", landscape: "landscape", face: "face", marble: "marble",
};

/** @type {Record<string, string>} */
const ZH = {
  title: "cfg 到底做了什么？",
  lead: "一个小型图片模型就在这个网页里运行：无需安装，也不发送任何数据。",
  language: "English", other: "en", present: "演示", presentTip: "全屏大字显示。方向键切换页面，Esc 退出。",
  link: "复制链接", linkTip: "打开后与现在完全相同的链接", linkCopied: "已复制", linkShown: "链接在地址栏中",
  back: "上一页", next: "下一页", screens: "页面", screenOf: "第 {n} 页，共 {all} 页：{title}", workbench: "工作台",
  idle: "就绪", starting: "正在读取模型……", computing: "正在计算……", computed: "{done} / {all}", failed: "无法计算：{why}",
  again: "重新开始", againTip: "所有设置恢复原样",
  gamma: "cfg（γ）", steps: "步数", sampler: "采样器", label: "标签", seed: "种子", noise: "噪声", rule: "规则", pictures: "每个值的图片数", stepLabelled: "步", another: "换一个",
  euler: "Euler：不加新噪声", ddpm: "DDPM：加新噪声", mapHint: "每个点代表一张图，每个圆是一种图。拖动 x，或在此按方向键。", mapMeaning: "每个点代表一张图，每个圆是一种图。",
  inPlane: "在平面上", ofModel: "在模型中", sources: "来源", more: "延伸阅读", packOf: "ComfyUI 节点包 Guidance Geometry 的一部分。", story: "引导的几何", plainStory: "什么是引导？", ownMeasure: "这些数字能说明什么",
  post: "依据 Sander Dieleman 的文章 “The geometry of diffusion guidance”",
  cfg: "CFG（普通）", interval: "区间 20–80 %",

  s1: "噪声与预测", s1a: "图片模型用加了噪声的图片训练：给它看一张带噪声的图 x，它要说出干净的图是什么。",
  s1b: "一张带噪声的图背后可能有许多干净的图，所以它最好的回答是它们的平均：这就是预测。",
  s1c: "拖动 x，或调节噪声：噪声越大，可能的图越多，预测就越模糊。",
  s2: "走一小步", s2a: "许多图的平均并不是一张图，所以采样器不会直接跳到预测处：它只走一小段，然后再问一次。",
  s2b: "到了新的位置，可能的图变少了，下一个预测更清晰，如此继续。",
  s2c: "沿着路径走到底：最后一步之后，只剩下一张干净的图。",
  s3: "再加噪声", s3a: "有些采样器在每一步之后加一点新噪声：DDPM 会加，Euler 不加。",
  s3b: "步子由模型决定，噪声则是偶然：它可能指向任何方向。",
  s3c: "所以从同一个起点出发，DDPM 会得到许多不同的图，Euler 总是得到同一张。",
  s4: "分类器的推力", s4a: "到目前为止还没有人说图片应该画什么。分类器看着带噪声的 x，说出每个标签（例如“怪物”）的概率。",
  s4b: "推力就是让所要的标签变得更可能的方向；把它加到预测上。",
  s4c: "每一步都跟着它走，多半会得到这个标签的图片，而不是随便一张。",
  s5: "两个预测，一个差", s5a: "用标签训练过的模型不需要分类器：对同一个 x 问它两次，一次不带标签，一次带标签。",
  s5b: "从第一个回答指向第二个的箭头，就是标签带来的东西；由贝叶斯公式，它正好等于分类器的推力：箭头下面的宽带。",
  s5c: "噪声大时它是一整张图，后来只是细节，最后什么都不剩。",
  s6: "乘以 cfg", s6a: "引导把这个差乘以 γ（多数软件称为 cfg），并瞄准那里：引导后 = 无标签 + cfg ×（有标签 − 无标签）。",
  s6b: "0 表示标签不起作用，1 表示模型按学到的回答，大于 1 时目标越过了两个预测。",
  s6c: "调高 cfg 看看：目标离开了图片所在的区域，路径也跟着弯过去。",
  s7: "太大会怎样", s7a: "适当的 cfg 有帮助：训练中十个标签里有三个是随机的，所以 cfg 为 1 时约四分之一的图画的是别的东西，较高的 cfg 能纠正它。",
  s7b: "太大就会烧焦：cfg 为 13 时，每一步瞄准的位置离无标签的回答，是模型自己有标签的回答的 13 倍远，越过了它认识的所有图片，这样的地方看起来颜色刺眼。",
  s7c: "同一标签的图片也变得雷同，因为所有的运行都被推向同一方向：点挤在绿色区域的一边，甚至更远。",
  s8: "工作台", s8a: "相同的种子，八个 cfg 值。每张图都由网页里的模型生成，然后再问模型它觉得这张图有多陌生。",
  s8b: "这不是质量的度量：它只说明从哪个 cfg 起，模型自己不会画出这样的图。",
  s8c: "选一张图查看它的每一步，选另一个规则看看有什么变化。",

  mapPrediction: "带噪声的点 x、它背后可能的干净点，以及它们的平均", mapStep: "从 x 到干净点的路径，一小步一小步",
  mapNoise: "从同一个 x 出发、加新噪声的路径", mapPush: "标签在哪里更可能，以及分类器的推力", mapPair: "x 处的两个预测和它们的差",
  mapScaled: "差乘以 cfg，以及由此得到的路径", mapMuch: "许多运行的终点，下面是引导据称要采样的密度",
  thePrediction: "预测", noisyX: "x", aStep: "一步", theEnd: "终点", freshNoise: "新噪声", thePush: "推力", theDifference: "差", without: "无标签", withLabel: "有标签", theGuided: "引导后",
  saidPrediction: "小点：x 背后可能的干净点。{all} 种图片中约有 {looks} 种可能。",
  saidStep: "{n} 步中的一步走了到预测处路程的 {share} %。灰色：无穷多步的路径。",
  saidNoise: "橙色：从同一个 x 出发、加新噪声的 {runs} 次运行到达 {ends} 个不同的标签。这一步长 {step}，噪声长 {noise}。黑色：Euler。",
  saidPush: "分类器认为 x 处有 {share} % 是{label}。推力长 {length}。粉色：有推力，蓝色：没有。",
  saidPair: "差长 {delta}，分类器的推力长 {push}：是同一个箭头。它是从 x 到预测路程的 {way} %。",
  saidScaled: "差长 {delta}；cfg {gamma} 瞄准的位置离无标签的预测 {D}，离最近的一种图片 {away}。",
  saidMuch: "cfg {gamma} 的 {n} 次运行：{right} % 画的是{label}，{outside} % 落在所有种类的图片之外。散布 {spread}；绿色密度 p(x) p(y|x)^γ 为 {wanted}。",

  clean: "干净的图", noisy: "加噪声后：x", predicted: "预测", withoutShort: "无标签", withShort: "有标签：{label}", guidedShort: "引导后，cfg {gamma}",
  differenceShort: "差 × {times}", stepShort: "第 {i} 步", endShort: "终点", ending: "{sampler}，运行 {i}", atCfg: "cfg {gamma}", yourCfg: "您的 cfg {gamma}",
  filmX: "x", filmD: "预测", pairSaid: "差是从 x 到预测路程的 {share} %。", probabilities: "分类器对 x 的判断",
  filmLabel: "一次运行中的带噪图片和每一步的预测",

  benchSeeds: "列：cfg。行：种子。选一张图查看它的步骤。", pictureAt: "cfg {cfg}，种子 {seed}", benchWait: "两个 cfg 值完成后就会出现数字。",
  numbersOf: "数字", strengthOf: "提示强度", ratioOf: "去噪比", varietyOf: "多样性", timesOf: "陌生程度（最小值的倍数）", range: "{value}（{low} 到 {high}）",
  strengthTip: "0：与不带标签时一样。1：与模型自己画的一样。", ratioTip: "1：与模型自己的图片一样陌生。", varietyTip: "同一标签的图片之间的差异。1：与 cfg 1 时相同。",
  benchSure: "每个值 {pictures} 张图，每个噪声水平一对噪声：95 % 区间，图片少时较宽。",
  planeTitle: "这一步，按比例", scaleTitle: "这次运行相当于哪个 cfg", stepNumber: "第 {i} 步，共 {n} 步",
  plant: "植物", monster: "怪物", robot: "机器人", person: "人物", planet: "行星", smiley: "笑脸", stones: "石头", landscape: "风景", face: "脸", marble: "弹珠",
};

/** The words of a language: t(key, values); what the page has not, the panel may.  @param {string} language @returns {Speaker} */
export function words(language) {
  const own = language === "zh" ? { ...EN, ...ZH } : EN;
  const panel = speaker(language === "zh" ? "zh-CN" : "en");
  return (key, values = {}) => (key in own ? fillIn(own[key], values) : panel(key, values));
}

export const TEXTS = { en: EN, zh: ZH };
