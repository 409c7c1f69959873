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
  report?: any;
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
  en: [string, string, string];
  zh?: string[];
  says: string;
  marks: [(theme: Theme) => Command[], string][];
}

declare const LiteGraph: any;
