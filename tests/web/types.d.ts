/** What the panel reads and draws, for the comments of web/lib: trace/record.py makes a Run, commands.mjs the commands. */

type Place = [number, number];
type Box = { x: number; y: number; w: number; h: number };
type Speaker = (key: string, values?: object) => string;

/** One sample of a step: stored metrics, numbers by the names of the step, places of trace/places.py. */
interface Sample {
  K: (number | null)[];
  sum?: (number | null)[];
  m: Record<string, number | null>;
  n?: (number | null)[];
  at?: (number | null)[];
}

interface Pass {
  evals: number;
  scale: number;
  size: number;
  along: number;
  across: number;
}

interface Step {
  v: number;
  run: string;
  i: number;
  n: number;
  sigma: number;
  sigma_next: number;
  alpha: number;
  alpha_next: number;
  gamma: number | null;
  kappa: number | null;
  evals: number | null;
  floor: number | null;
  space: string;
  N: number;
  stage: string;
  vectors: string[];
  numbers?: string[];
  samples: Sample[];
  subset?: number[];
  percentiles?: { p: number[] } & Record<string, number[]>;
  whisker?: [number, number];
  passes?: Record<string, Pass>;
}

/** A sample as gram.mjs gives it. */
interface Gram {
  vectors: string[];
  K: (number | null)[];
  m: Record<string, number | null>;
  at: (number | null)[];
  count: number;
}

type Choices = { samples: number[] } & Record<string, any[]>;

/** A run as far as it has come. live: it goes on. stages: where the next sampler of a series begins. */
interface Run {
  v: number;
  run: string;
  n: number;
  N: number;
  space: string;
  batch: number;
  sample: number;
  steps: Step[];
  live?: boolean;
  choices?: Choices;
  part?: string;
  parts?: Record<string, Run>;
  stages?: number[];
  sigmas?: number[];
  sigma_data?: number | null;
  labels?: string[];
  notes?: string[];
  cfg?: number | null;
  guider?: string;
  chain?: string;
  sampler?: string;
  scheduler?: string;
  seed?: number;
  split?: string;
  evaluations?: number;
  latent?: { shape: number[] };
  model?: { name?: string; hash?: string; file?: string };
  host?: Record<string, string>;
  passes?: Record<string, number>;
  afterwards?: { steps: number[]; evaluations: number; against: string; drift: number; why?: string };
  directions?: { steps: number[]; error: number; subset?: number[]; samples: number[][] };
  pictures?: any;
  report?: Report;
  problems?: string[];
  fault?: string;
  ended?: string;
  stopped?: { i: number; n: number };
  prompt_id?: string;
  workflow_id?: string;
}

/** One drawing command: see commands.mjs. */
interface Command {
  op: string;
  [name: string]: any;
}

interface Theme {
  ink: string;
  muted: string;
  paper: string;
  hair: string;
  u: string;
  c: string;
  delta: string;
  noise: string;
  lit: string;
  font: string;
}

/** A word or a sentence in English, by which a `Speaker` finds it in other languages; with the values in its braces. */
type Phrase = string | false | null | undefined | number | (string | object)[];

interface Options {
  w: number;
  h: number;
  theme: Theme;
  step?: number;
  sample?: number;
  gamma?: number;
  t?: Speaker;
  mix?: (step: number) => any;
  captioned?: boolean;
}

type Figure = (record: Run, options: Options) => Command[];

/** A figure under construction. */
interface Page {
  w: number;
  h: number;
  t: Speaker;
  theme: Theme;
  captioned: boolean;
  symbolSize: number;
  wordSize: number;
  commands: Command[];
  placer: any;
}

interface View {
  name: string;
  title?: string;
  figure?: Figure;
  pictures?: (ctx: CanvasRenderingContext2D, pictures: any, images: (sheet: any) => any, state: any) => any[];
  available: (record: Run) => boolean;
  lacking?: (step: Step) => string | null;
  partner: string;
  ofStep?: boolean;
  scales?: boolean;
  tells?: string[];
  en: [string, string, string?];
  zh?: string[];
  says: string;
  marks: [(theme: Theme) => Command[], string][];
}

declare const LiteGraph: any;

/** A sample at a step. */
interface StepRow {
  i: number;
  step: Step;
  gram: Gram | null;
}

/** What a figure over a run draws at a step: numbers by its own names. */
interface Row {
  i: number;
  [name: string]: any;
}

/** Where steps stand along an axis, 0 left to 1 right: see axes.mjs. */
interface Positions {
  at: (i: number) => number;
  byLevel: boolean;
  n: number;
}

/** A panel of a figure with its axes: see axes.mjs. */
interface Plot {
  inner: Box;
  x: (i: number) => number;
  y: (value: number) => number;
  base: number;
  gap: number;
  spacing: number;
}

/** Why a figure is empty: see `nothing`. */
interface Gap {
  missing: Phrase;
  advice?: Phrase;
  rows?: { step: Step; gram: Gram | null }[];
}

/** A sample over a run, as curves need it: see `runOf`. */
interface SampleRun {
  rows: StepRow[];
  sample: number;
  facts: Phrase[];
  where: Positions;
  stages: number[];
  empty: Gap;
  chosen: number | null;
}

/** One piece of a text; sub: an index. hat: the letter wears one. */
interface TextRun {
  t: string;
  italic?: boolean;
  sub?: boolean;
  hat?: boolean;
}

/** The editor's graph, in either front end: of its nodes only what the panel reads. */
interface Widget {
  name: string;
  value: any;
  [name: string]: any;
}

interface Slot {
  name: string;
  type?: any;
  widget?: { name: string };
  [name: string]: any;
}

interface GraphNode {
  id: number | string;
  inputs?: Slot[];
  outputs?: any[];
  widgets?: Widget[];
  subgraph?: Graph;
  [name: string]: any;
}

interface Graph {
  nodes: GraphNode[];
  [name: string]: any;
}

/** Where a number is set: see `scaleSource`. reason: key of a sentence, where it cannot be written there. */
interface Source {
  node: GraphNode;
  widget?: Widget;
  reason?: string;
  held?: { node: GraphNode; name: string };
  beside?: any[];
}

/** A number that guided a run: see run-knobs.mjs. */
interface Knob {
  key: string;
  kind: string;
  name: string;
  value: number | null;
  title: string | null;
  what?: string;
  node: string | null;
  input: string;
  limits: [number | null, number | null];
  beside?: Record<string, any>;
  model?: string;
}

/** A job in API form: id -> node. A wire is [id, slot]. */
type Prompt = Record<string, { class_type: string; inputs: Record<string, any>; [name: string]: any }>;

/** A job that the server knows: see `jobOf` of inspector.js. */
interface Job {
  prompt: Prompt;
  outputs: Record<string, any>;
  workflow?: any;
  samplers?: string[];
  ended?: boolean;
  stopped?: boolean;
}

/** A run as the server lists it, or as it comes in (live). A series of runs has a chain of them and nothing else. */
interface ListedRun {
  run: string;
  prompt_id: string;
  node: string;
  title: string;
  list_index: number;
  index: number;
  when: number;
  live?: any;
  ended?: any;
  stopped_at?: number | null;
  chain?: ListedRun[];
  [name: string]: any;
}

/** A run that is judged or tried: `run` as the tab lists it, or with `shown`, the node that shows it. */
interface Judged {
  run: any;
  record: Run;
  knob?: Knob;
  range?: any;
}

/** A live message about a run: see host/recording. */
interface Message {
  run: string;
  steps?: Step[];
  [name: string]: any;
}

/** What the panel may ask of the editor: inspector.js makes it. The editor of a page (page-panel.mjs) has the first few alone. */
interface Editor {
  root: () => Graph | null;
  locale: () => string;
  address: (path: string) => string;
  sources: () => Promise<any>;
  record: (name: string) => Promise<any>;
  wheel: ((event: WheelEvent) => void) | null;
  pan: (event: any) => void;
  write: (source: Source, value: any, more?: string) => void;
  say: (words: string) => void;
  show: (node: GraphNode) => void;
  advice: import("../../web/lib/advice.mjs").Advice;
  answers: () => boolean;
  runs: (workflow: string) => Promise<any>;
  run: (run: string) => Promise<any>;
  runsOf: (job: string) => Promise<ListedRun[] | undefined>;
  report: (run: string, half?: any, shown?: string[]) => Promise<any>;
  picks: (method: string, key: string, body?: any, sampler_class?: string, knob?: string, values?: number[]) => Promise<any>;
  curves: (method: string, body: any) => Promise<any>;
  upload: (file: File) => Promise<string | null>;
  sizeOf: (file: any) => Promise<any>;
  job: (job: string) => Promise<Job | null | undefined>;
  queue: (prompt: Prompt, workflow: any) => Promise<string | null>;
  inQueue: () => Promise<string[] | null>;
  queued: () => Promise<{ job: string; workflow: any }[] | undefined>;
  queueGraph: () => any;
  freshen: (query: URLSearchParams) => any;
  dequeue: (jobs: string[]) => any;
  changed: () => void;
  keep: (node: any) => void;
  [name: string]: any;
}

/** A value on trial: see tries.mjs. state: "waiting", "there" or "failed". */
interface Card {
  cfg: number;
  state: string;
  shots: any[];
  record: Run | null;
  own: boolean;
  [name: string]: any;
}

/** What was measured of a model at several values of a knob, as the server tells it: [found, low, high] of each value. */
interface Curve {
  name: string;
  values: number[];
  pictures: number; // of each value
  least: number; // the value that the model finds least strange
  times_as_strange: [number, number | null, number | null][];
  prompt_strength: [number, number, number][];
  variety: number[][];
  likelier_without?: number[];
  strength_gained?: [number, number, number][];
  [name: string]: any;
}

/** A value that a person or a judge found good or not, as the server stores it. */
interface StoredPick {
  cfg: number;
  good: boolean;
  by?: string | null;
  knob: string;
  chain?: string;
  sampler_class: string;
}

/** What is stored of a model: see `rangeOf`. */
interface Stored {
  picks: StoredPick[];
  ranges: Record<string, [number, number]>;
  knobs?: Record<string, Record<string, [number, number]>>;
}

/** A study's page: axes, cells and curves, as sweeps/ writes them. */
interface Axis {
  name: string;
  values: any[];
  [name: string]: any;
}

interface Cell {
  id: string;
  place: Record<string, any>;
  measures: Record<string, any>;
  [name: string]: any;
}

interface Study {
  axes: Axis[];
  rows: Cell[];
  curves: StudyCurve[];
  measures: Record<string, { title: string; unit: string }>;
  [name: string]: any;
}

/** Where a measure of a study stands along an axis, in as many series as another one splits it into. */
interface StudyCurve {
  axis: string;
  measure: string;
  split?: string;
  series: { name: string; points: { x: any; mean: number | null; low: number | null; high: number | null; n: number }[] }[];
}

/** A study's page while it is used: see study.mjs. */
interface StudyPage {
  place: (id: string) => any;
  study: Study;
  files: any;
  varied: Axis[];
  names: string[];
  title: (row: Cell) => string;
  picked: Set<string>;
  runs: Record<string, Run>;
  marks: any;
  state: any;
  dialog: { open: (row: any) => void };
  shown: (Cell | null)[][];
  metrics?: [string, string][];
}

type InspectorPanel = import("../../web/lib/panel.mjs").Panel;
type GuidanceTab = import("../../web/lib/tab.mjs").Tab;

/** A sentence of a report in the languages that it was written in. */
interface Sentence {
  id: string;
  en: string;
  zh?: string;
}

/** The verdict on a run, as the server tells it. */
interface Report {
  headline: Sentence;
  why: Sentence[];
  reasons: Sentence[];
  findings: Sentence[];
  colour: string;
  suggested: number | null;
  knobs?: Knob[];
  curve?: Curve;
  curves?: Record<string, Curve>;
  [name: string]: any;
}

/** A sheet of pictures of one step: a row for each sample, a column for each kind. */
interface Sheet {
  i: number;
  filename: string;
  [name: string]: any;
}

/** Pictures of a run: size is that of one of them, in pixels. */
interface Pictures {
  kinds: string[];
  samples: number[];
  size: [number, number];
  steps: Sheet[];
  [name: string]: any;
}

/** One step of one sample as the plane needs it: see `sceneOf`. */
interface Scene {
  i: number;
  n: number;
  sample: number;
  [name: string]: any;
}

type Tries = import("../../web/lib/tries.mjs").Tries;
type TryAdvice = import("../../web/lib/advice.mjs").TryAdvice;

/** The step plane in pixels: see layout.mjs. */
interface Plane {
  origin: number[];
  scale: number;
  at: (place: number[]) => number[];
}

/** A plane figure under construction: see `drawPlane`. */
interface PlaneDrawing {
  page: Page;
  scene: Scene;
  points: Record<string, number[]>;
  predictions: string[];
  plane: Plane;
  near: Plane;
  lens: { window: Box; frame: Box; plane: Plane; gain: number } | null;
  frame: Box;
  area: Box;
  [name: string]: any;
}

/** What the page that needs no install computes with: web/explain. A Point lies on its map. */
type Vector = Float64Array;
type Point = [number, number];
type PocketFlow = ReturnType<typeof import("../../web/explain/network.mjs").networkOf>;
type Predict = (x: Vector, sigma: number, labels: number[]) => Vector; // x of all pictures, one after the other -> x0-hat

/** Maps of features, [B, C, H, W]. */
interface Features {
  B: number;
  C: number;
  H: number;
  W: number;
  v: Vector;
}

/** What can be set on the page, and how far. */
interface Settings {
  screen: number;
  gamma: number;
  steps: number;
  sampler: string;
  label: string;
  seed: number;
  noise: number;
  rule: string;
  pictures: number;
  cfg: number;
  step: number;
  picture: number;
  x: Point;
  language: string;
}

interface Limits {
  least: number;
  most: number;
  by: number;
  usual: number;
}

/** What a rule reads. state: its memory of this run, empty at first. */
interface Predictions {
  x: Vector;
  u: Vector;
  c: Vector;
  gamma: number;
  i: number;
  state: any;
}

interface GuidanceRule {
  name: string;
  scale?: (gamma: number, share: number) => number;
  guide: (p: Predictions) => Vector;
}

/** How pictures are made: draws gives the fresh noise of each. */
interface RunOrder {
  labels: number[];
  starts: Vector[];
  draws: (() => Vector)[];
  gamma: number;
  steps: number;
  sampler: string;
  rule: string;
}

/** A step of one picture. u: null where it was not asked for. kappa: how far the next x follows D, dx'/dD. */
interface StepTaken {
  i: number;
  sigma: number;
  next: number;
  kappa: number;
  gamma: number;
  x: Vector;
  u: Vector | null;
  c: Vector;
  D: Vector;
  move: Vector;
  noise: Vector;
  to: Vector;
}

/** A step on the map: tip is where it ends before its noise. */
interface MapStep {
  s: number;
  next: number;
  kappa: number;
  x: Point;
  u: Point;
  c: Point;
  D: Point;
  tip: Point;
  to: Point;
}

/** Sums of one picture at one level: <x - u, c - u>, |c - u|^2, |c - x|^2, sigma <n, c - x>. */
interface LevelSums {
  sigma: number;
  along: number;
  length: number;
  error: number;
  expected: number;
}

type Estimate = [number, number, number]; // a number, and the ends of its 95 % interval: NaN for a single picture
