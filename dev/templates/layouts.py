"""Where the nodes of the templates stand, and the notes beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..places import ROOT

Place = tuple[int, int, int, int]  # left, top, width, height
TITLE = 30  # height of a node's title, above its place
QUIET, TITLE_ROOM, MARGIN = "#7fa3b5", 70, 20  # colour of a group, room above its nodes for two titles, and around them


@dataclass(frozen=True)
class Note:
    """Words beside the nodes."""

    title: str
    place: Place
    words: str


@dataclass(frozen=True)
class Layout:
    """One template. name: of its files; form: the file of its API form. places: by node id.

    groups: title -> the node ids, or titles of notes, that it frames. titles: of nodes that have one of their own.
    thumbnails: the nodes whose pictures make the thumbnail, and which of them; none where it is drawn without a run.
    view: scale and offset of the canvas. downloads: the file that a node needs, for the editor to offer.
    """

    name: str
    form: str
    workflow_id: str
    places: dict[str, Place]
    notes: tuple[Note, ...]
    thumbnails: dict[str, tuple[int, ...]] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    view: tuple[float, float, float] = (0.75, 90, 160)
    downloads: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def api(self):
        """The file of its API form."""
        return ROOT / self.form

    @property
    def template(self):
        """The file that the editor opens."""
        return ROOT / "example_workflows" / f"{self.name}.json"

    def frames(self) -> list[dict]:
        """The groups as a workflow stores them."""
        notes = {note.title: note.place for note in self.notes}
        places = [[(self.places | notes)[name] for name in names] for names in self.groups.values()]
        return [
            {"id": k, "title": title, "bounding": around(inside), "color": QUIET, "font_size": 24, "flags": {}}
            for k, (title, inside) in enumerate(zip(self.groups, places, strict=True), start=1)
        ]


def around(places: list[Place]) -> list[int]:
    """Left, top, width, height of a frame around places, with room for titles."""
    left, top = min(x for x, *_ in places) - MARGIN, min(y for _, y, *_ in places) - TITLE_ROOM
    right, bottom = max(x + w for x, _, w, _ in places) + MARGIN, max(y + h for _, y, _, h in places) + MARGIN
    return [left, top, right - left, bottom - top]


FIRST_LOOK = Layout(
    name="First look at guidance",
    form="sweeps/comfyui/first_look.json",
    workflow_id="5b0f6a34-7c1d-4f0e-9a58-2d7c61f4e9b1",
    places={
        "1": (20, 60, 300, 210),
        "2": (20, 320, 300, 150),
        "3": (20, 520, 300, 150),
        "4": (370, 60, 320, 380),
        "5": (370, 490, 320, 60),
        "6": (370, 600, 320, 150),
        "7": (740, 60, 440, 620),
        "8": (1220, 60, 640, 660),
    },
    notes=(
        Note(
            "Read me",
            (20, 720, 300, 330),
            """What to look at

1. Queue. Ten pictures appear, one for each label.
2. Set cfg to 1, the conditional prediction alone: some pictures show something else. Of the labels that the demo \
model learned from, 30 % were replaced at random, much like sloppy captions on the web.
3. Set cfg to 2, then 4: the labels come right. The figure shows why: the step goes beyond the conditional prediction.
4. Set cfg to 8: colours burn out and variety disappears.

Keep the seed: only then do the pictures show what cfg alone changes.""",
        ),
    ),
    thumbnails={"7": tuple(range(9))},
    view=(0.7, 90, 160),
)

THE_GEOMETRY = Layout(
    name="The geometry of guidance",
    form="dev/templates/geometry_of_guidance.json",
    workflow_id="c3d2a7e8-91f4-4b36-8a0e-6e54b1d7f002",
    places={
        "1": (40, 380, 320, 210),
        "2": (40, 640, 320, 150),
        "3": (40, 840, 320, 150),
        "4": (40, 1040, 320, 230),
        "5": (480, 380, 320, 400),
        "6": (480, 840, 320, 400),
        "7": (840, 380, 300, 60),
        "8": (840, 490, 300, 150),
        "9": (1180, 380, 350, 430),
        "10": (840, 840, 300, 60),
        "11": (840, 950, 300, 150),
        "12": (1180, 840, 350, 430),
        "13": (1920, 380, 640, 660),
        "14": (1920, 1090, 640, 660),
        "15": (2680, 380, 640, 660),
        "23": (2680, 1090, 640, 660),
        "16": (3440, 380, 320, 170),
        "17": (3800, 380, 320, 150),
        "18": (3440, 600, 330, 410),
        "19": (4160, 380, 320, 150),
        "20": (3800, 600, 330, 410),
        "21": (3440, 1050, 1040, 700),
        "22": (4600, 380, 760, 760),
        "24": (5420, 380, 760, 820),
    },
    notes=(
        Note(
            "The geometry of guidance",
            (40, 120, 320, 210),
            """From left to right: the classifier-free half of the blog post, shown with one run. Queue it as it is; \
it takes a few seconds.

The small model included in this pack draws ten kinds of things. 30 % of the labels that it learned from were wrong \
on purpose, like sloppy captions on the web. The canvas asks for eight of them, one label each, and the sampler \
takes the steps of the post: predict, step, add noise.""",
        ),
        Note(
            "Two runs",
            (480, 120, 660, 210),
            """Same model, same noise, same seed; only cfg differs. cfg = 1 is the model's own answer to the label \
and needs one evaluation a step. cfg = 4 evaluates twice, with and without the label, and moves four times the \
difference.

Look at the third picture. It should be a robot. Without guidance it comes out as a landscape: the label was \
ignored. With guidance the same noise becomes a robot.

Try cfg = 2 and cfg = 8 in the lower sampler. At 2 most labels come right; at 8 the colours burn.""",
        ),
        Note(
            "Sampling",
            (1920, 120, 640, 210),
            """Noise hides fine detail first and coarse shapes last (upper figure). Sampling goes back in small \
steps: predict the clean picture, go part of the way, add a little noise, predict again (lower figure).

The steps are small because the prediction is an average over all pictures that the noise could hide. Far from the \
picture it is a blur, and only its direction is useful.""",
        ),
        Note(
            "Guidance",
            (2680, 120, 640, 210),
            """Two predictions from the same noisy sample: without the label, and with it. Their difference is what \
the label adds. Guidance takes it times cfg, and the step goes there instead.

Everything is drawn to scale: the difference is so short that it needs a lens, and the noise is about as long as \
the step. Choose another step or another sample in the figure nodes; they draw the run again without sampling.""",
        ),
        Note(
            "What the label adds",
            (3440, 120, 660, 210),
            """The conditional predictions at step 6, one for each label, and what the label changed in them: grey \
is nothing, and all pictures share one gain.

The filmstrip follows one sample. In the first steps the difference is a whole picture; from step 9 on almost \
nothing is left of it: the label adds nothing new.""",
        ),
        Note(
            "From inside",
            (4600, 120, 760, 210),
            """The inspector shows every step, live while the sampler runs. In What if, drag gamma: the arrows \
follow at once, because within one step everything is linear in gamma. Then press Use and queue: \
the result differs from the straight-line extrapolation, because the later steps start elsewhere.

Compare Traces shows where the two runs diverge: early, long before there is anything to recognise.

The whole story, with numbers: docs/the-geometry-of-guidance.md in this pack's repository.""",
        ),
    ),
    thumbnails={"9": (2,), "12": (2,), "18": (2,), "20": (2,)},
    groups={
        "1 \u00b7 A model, its labels, a canvas": ("The geometry of guidance", "1", "2", "3", "4"),
        "2 \u00b7 Two runs from the same noise": ("Two runs", "5", "6", "7", "8", "9", "10", "11", "12"),
        "3 \u00b7 Sampling: predict, step, add noise": ("Sampling", "13", "14"),
        "4 \u00b7 Guidance: predict twice, exaggerate the difference": ("Guidance", "15", "23"),
        "5 \u00b7 What the label adds": ("What the label adds", "16", "17", "18", "19", "20", "21"),
        "6 \u00b7 The run from inside": ("From inside", "22", "24"),
    },
    titles={"5": "KSampler + Trace: without guidance", "6": "KSampler + Trace: with guidance"},
    view=(0.65, 120, 160),
)

DPS_INPAINTING = Layout(
    name="DPS inpainting",
    form="dev/templates/dps_inpainting.json",
    workflow_id="8e0c1f52-46ab-4d7e-b0a9-3f5d2c9e7a04",
    places={
        "1": (20, 60, 300, 210),
        "2": (20, 320, 300, 150),
        "3": (20, 520, 300, 150),
        "4": (370, 60, 320, 400),
        "5": (370, 510, 320, 60),
        "6": (740, 60, 320, 110),
        "7": (740, 220, 320, 110),
        "8": (740, 380, 320, 170),
        "9": (740, 600, 320, 160),
        "10": (1110, 60, 340, 320),
        "11": (1110, 430, 340, 240),
        "12": (1500, 60, 320, 420),
        "13": (1500, 530, 320, 60),
        "14": (370, 620, 320, 140),
        "15": (1110, 720, 340, 170),
        "16": (1500, 640, 320, 150),
        "18": (1500, 840, 320, 150),
        "17": (1870, 60, 380, 460),
        "19": (1870, 570, 380, 460),
    },
    notes=(
        Note(
            "Read me",
            (20, 720, 300, 350),
            """Half a picture, and the model makes up the rest

1. Queue. Four pictures are drawn with their labels, and only the left half of each is kept (above).
2. The second sampler knows no label and no picture. Its energy is the distance to the kept half; DDIM Sampler adds \
its gradient to every step, as in DPS. The right half comes from the model, and it fits (below).
3. Set scale to 0.1: the half is lost. Set gradient to DSG: only the noise is steered, which keeps the half too.
4. Another seed in the second sampler gives another right half.

The DPS scale is per step: with twice the steps the pull is about twice as strong.""",
        ),
    ),
    thumbnails={"17": (0, 1), "19": (0, 1)},
    titles={
        "4": "Draw: with labels",
        "12": "Make up the rest: without labels",
        "17": "The half that is kept",
        "19": "Made up from the half",
    },
    view=(0.6, 60, 60),
)

TIME_TRAVEL = Layout(
    name="FreeDoM time travel",
    form="dev/templates/time_travel.json",
    workflow_id="2f7b9d10-c8e3-4a55-9d61-7b0e4c1a8f05",
    places={
        "1": (20, 60, 300, 210),
        "2": (20, 320, 300, 150),
        "3": (20, 520, 300, 150),
        "4": (370, 60, 320, 120),
        "5": (370, 230, 320, 150),
        "6": (370, 430, 320, 320),
        "7": (740, 60, 320, 240),
        "8": (740, 550, 320, 240),
        "9": (1110, 60, 320, 440),
        "10": (1110, 550, 320, 440),
        "11": (1480, 60, 300, 60),
        "12": (1480, 550, 300, 60),
        "13": (1480, 170, 300, 150),
        "14": (1480, 660, 300, 150),
        "15": (1830, 60, 380, 460),
        "16": (1830, 570, 380, 460),
    },
    notes=(
        Note(
            "Read me",
            (20, 720, 300, 350),
            """The same steps, once and four times

1. Queue. The model is asked without a label; a classifier of clean pictures wants the ten labels in turn, and every \
step is shifted by its gradient, as in FreeDoM.
2. Above, every step is taken once. Below, four times: in between the sample is noised again, so the model can \
correct the push.
3. Lower scale in Classifier Guidance, or set gradient to rate: time travel helps there too.
4. Every step back is a step of the trace, stage recur, and costs no evaluation; the steps it repeats do.""",
        ),
    ),
    thumbnails={"15": (0, 7), "16": (0, 7)},
    titles={
        "9": "Every step once",
        "10": "Every step four times",
        "15": "Every step once",
        "16": "Every step four times",
    },
    view=(0.6, 60, 60),
)


def branch(top: int, *nodes: str, left: int = 1180) -> dict[str, Place]:
    """A row of the template: gradient, sampler, decoder, below it an enlarger, preview; the gradient may be missing."""
    places = ((0, 0, 320, 330), (360, 0, 320, 400), (720, 0, 220, 60), (720, 120, 220, 130), (980, 0, 360, 440))
    rows = zip(nodes, places[-len(nodes) :], strict=True)
    return {node: (left + x, top + y, wide, tall) for node, (x, y, wide, tall) in rows}


CLASSIFIER_GUIDANCE = Layout(
    name="Classifier guidance",
    form="dev/templates/classifier_guidance.json",
    workflow_id="8d0c0f5e-53f7-4c57-9a4e-2f1a6f5b7c03",
    places={
        "1": (40, 380, 320, 210),
        "2": (40, 640, 320, 150),
        "3": (40, 840, 320, 150),
        "4": (40, 1040, 320, 230),
        "5": (400, 380, 320, 130),
        "6": (400, 610, 320, 130),
        "7": (400, 840, 320, 130),
        "8": (760, 380, 320, 180),
        "9": (760, 610, 320, 180),
        "10": (760, 840, 320, 180),
        "11": (760, 1070, 320, 90),
        **branch(380, "20", "21", "22", "23"),
        **branch(850, "30", "31", "32", "33", "34"),
        **branch(1320, "40", "41", "42", "43", "44"),
        **branch(1790, "50", "51", "52", "53", "54"),
        "61": (2580, 380, 760, 780),
        "63": (2580, 1320, 760, 780),
    },
    notes=(
        Note(
            "Two ways to a label",
            (40, 120, 1040, 210),
            """There are two ways to a label. The model learned some: it predicts with and without, and CFG \
exaggerates the difference. Or a separate classifier knows what the label looks like, and its gradient moves the \
prediction to where it is more confident. The model itself need not know the label then.

There are three classifiers here. The first reads noisy samples at any noise level, the second clean pictures only. \
The third is the judge: it measures and never guides. Queue the graph as it is; it takes some seconds.""",
        ),
        Note(
            "Four methods",
            (1180, 90, 1340, 240),
            """1. Four rows: same model, same noise, same eight labels (plant, monster, robot, person, planet, smiley, \
stones, landscape). From above: CFG; the noise-aware classifier at the noisy sample; the clean classifier at the \
prediction, its gradient taken back through the model (twice the time); the same without that.

2. cfg is 0 in the lower three: the sampler is given the prediction without a label, so that all of the label comes \
from the classifier. The prediction with the label is only recorded, to compare with. Set cfg to 1 to leave it out.

3. Not all succeed. Backprop misses the robot and the smiley, and the last method turns the planet into a blue blur. \
On the right: its classifier is confident, and the judge is not. Never let a classifier mark its own work.

4. Above that, one step of the second row, to scale: the gradient beside the difference that CFG would take. If both \
networks were exact they would be the same arrow; the caption says how close they are.""",
        ),
    ),
    thumbnails={"34": (2, 4), "44": (3, 7)},
    groups={
        "1 \u00b7 A model, and others who know the labels": ("Two ways to a label", *map(str, range(1, 12))),
        "2 \u00b7 One label, four methods": (
            "Four methods",
            *("20", "21", "22", "23", *map(str, range(30, 35)), *map(str, range(40, 45)), *map(str, range(50, 55))),
            *("61", "63"),
        ),
    },
    titles={
        "5": "Load Classifier: noise-aware",
        "6": "Load Classifier: clean",
        "7": "Load Classifier: judge",
        "20": "CFG",
        "23": "CFG",
        "30": "At the noisy sample",
        "31": "Noise-aware classifier",
        "34": "Noise-aware classifier",
        "40": "At the prediction, with backprop",
        "41": "x0 + backprop",
        "44": "x0 + backprop",
        "50": "At the prediction, without backprop",
        "51": "x0 without backprop",
        "54": "x0 without backprop",
        "61": "At the noisy sample: the gradient and the difference",
        "63": "x0 without backprop: only one is convinced",
    },
    view=(0.45, 60, 80),
)

COLOURS = Layout(
    name="A colour by a gradient",
    form="dev/templates/colours.json",
    workflow_id="6b1e7c40-3d8a-4f92-8e15-90c7d2a4b606",
    places={
        "1": (40, 380, 320, 210),
        "2": (40, 640, 320, 150),
        "83": (40, 840, 320, 150),
        "3": (40, 1040, 320, 150),
        "4": (400, 840, 320, 230),
        "70": (400, 380, 270, 130),
        "71": (400, 580, 270, 130),
        "72": (720, 580, 270, 130),
        "73": (1040, 580, 270, 130),
        "74": (720, 380, 270, 60),
        "75": (1040, 380, 270, 60),
        "76": (1360, 380, 270, 60),
        "77": (1360, 580, 270, 170),
        **branch(380, "78", "79", "80", "81", "82", left=1720),
        **branch(850, "84", "85", "86", "87", "88", left=1720),
    },
    notes=(
        Note(
            "Read me",
            (40, 120, 1590, 190),
            """The model never learned colours as a condition. An energy can ask for one: here the mean colour of \
the picture, red, green, blue, yellow in turn.

1. Queue. Above, only a colour is asked for: what the picture shows is up to the model, and it chooses things that \
come in that colour. Below, robots by CFG and their colour by a gradient, in one run: both methods at once.
2. Change the colours, or connect pictures of your own to Reference Energy.""",
        ),
    ),
    thumbnails={"88": (0, 1, 2, 3)},
    titles={
        "70": "Red",
        "71": "Green",
        "72": "Blue",
        "73": "Yellow",
        "79": "A colour",
        "82": "A colour",
        "85": "A robot, and a colour",
        "88": "A robot, and a colour",
    },
    view=(0.55, 60, 80),
)

VAE_FILE = "vae-ft-mse-840000-ema-pruned.safetensors"
VAE_PAGE = "huggingface.co/stabilityai/sd-vae-ft-mse-original"
CONVERTED = (
    """In this pack's folder, run guidance-geometry convert FILE for each. It reads the numbers and executes nothing."""
)

AUTOGUIDANCE = Layout(
    name="Autoguidance",
    form="dev/templates/autoguidance.json",
    workflow_id="4a1d7c60-2b9e-4f83-8c15-6de0f3b92a06",
    places={
        "1": (500, 120, 380, 60),
        "2": (500, 240, 380, 190),
        "3": (500, 490, 380, 190),
        "4": (980, 120, 320, 160),
        "5": (980, 330, 320, 130),
        "6": (980, 510, 320, 130),
        "7": (1340, 120, 320, 150),
        "8": (1340, 320, 320, 400),
        "9": (980, 690, 320, 60),
        "10": (2140, 120, 560, 640),
        "11": (2740, 120, 700, 640),
    },
    notes=(
        Note(
            "Get three files first",
            (40, 120, 420, 560),
            f"""The networks of the paper do not come with this pack.

1. Two networks: edm2-img512-s-2147483-0.070.pkl, the strong one, and edm2-img512-xs-0134217-0.125.pkl, a smaller \
one with a sixteenth of the training. Get both from
https://nvlabs-fi-cdn.nvidia.com/edm2/posthoc-reconstructions/
Their page is github.com/NVlabs/edm2, their licence CC BY-NC-SA 4.0.

2. {CONVERTED} Put the two .safetensors into ComfyUI/models/denoisers.

3. Their VAE: {VAE_FILE} from
https://{VAE_PAGE}
Put it into ComfyUI/models/vae.

4. Press R. The three loaders beside this note name the files; choose them again if yours have other names.""",
        ),
        Note(
            "What to look at",
            (1760, 120, 340, 640),
            """1. Queue. Both networks get the same label and the same noisy sample. The weak one errs in the same \
way, only more. So guidance goes from the weak prediction to the strong one and on, 2.1 times that way: cfg.

2. Set cfg to 1 and queue again: the strong network alone. The weak one is not asked. Keep the seed: only then do the \
pictures show what guidance changes.

3. Limited Interval is open, 0 to 1, as in the paper. With 0.2 and 0.8 the weak network is asked in six of ten steps.

4. In the inspector, u is the weak prediction and c the strong one.

Sampler, steps and cfg are those of the paper (arXiv 2406.02507). Its authors report a FID of 1.34 for this pair; \
their best without guidance is 2.56 (EDM2-S at 512 pixels).""",
        ),
    ),
    groups={
        "1 \u00b7 Three files": ("Get three files first", "1", "2", "3"),
        "2 \u00b7 One run, two networks": ("4", "5", "6", "7", "8", "9"),
        "3 \u00b7 The pictures, and the run": ("What to look at", "10", "11"),
    },
    titles={
        "1": "Load VAE: models/vae",
        "2": "Strong: models/denoisers",
        "3": "Weak: models/denoisers",
    },
    view=(0.65, 60, 80),
    downloads={"1": {"name": VAE_FILE, "url": f"https://{VAE_PAGE}/resolve/main/{VAE_FILE}", "directory": "vae"}},
)

IMAGENET_CLASSIFIER = Layout(
    name="ImageNet class with a classifier",
    form="dev/templates/imagenet_classifier.json",
    workflow_id="b7e2510d-93c4-4e6f-a1d8-05f7c8e46b07",
    places={
        "1": (500, 120, 340, 170),
        "4": (500, 350, 340, 150),
        "2": (940, 120, 320, 100),
        "3": (940, 270, 320, 130),
        "5": (940, 450, 320, 190),
        "6": (1300, 120, 320, 350),
        "7": (1660, 120, 320, 400),
        "8": (1660, 580, 320, 60),
        "9": (2460, 120, 460, 540),
        "11": (3060, 120, 700, 540),
        "10": (3800, 120, 700, 540),
    },
    notes=(
        Note(
            "Get two files first",
            (40, 120, 420, 520),
            f"""The networks of the paper do not come with this pack.

1. The denoiser, 256x256_diffusion_uncond.pt (2.2 GB): https://openaipublic.blob.core.windows.net/diffusion/jul-2021/\
256x256_diffusion_uncond.pt

2. The classifier, 256x256_classifier.pt (0.2 GB): https://openaipublic.blob.core.windows.net/diffusion/jul-2021/\
256x256_classifier.pt

Their page is github.com/openai/guided-diffusion, their licence MIT.

3. {CONVERTED} Put 256x256_diffusion_uncond.safetensors into ComfyUI/models/denoisers and \
256x256_classifier.safetensors into ComfyUI/models/classifiers.

4. Press R. The two loaders beside this note name the files; choose them again if yours have other names.""",
        ),
        Note(
            "What to look at",
            (2080, 120, 340, 540),
            """1. Queue. The denoiser never learned a label. The classifier reads the noisy sample at every step, and \
the gradient of log p(label) is added to the prediction, ten times: scale.

2. Set scale to 0: the same noise becomes pictures of anything. At 1, which is Bayes' rule, the paper found pictures \
that convince the classifier but nobody else. Keep the seed to compare.

3. The labels are in Label Energy, one a line and one for each picture. Load Classifier knows all 1,000 names.

4. The figure shows one step, to scale: the gradient, times its scale, beside the step.

5. 25 steps of DDIM are quick. For the 250 steps of the paper set steps to 250 and sampler_name to ddpm. The variance \
that the network learned is not used.

Scale and networks are those of the paper (arXiv 2105.05233).""",
        ),
    ),
    groups={
        "1 \u00b7 Two files": ("Get two files first", "1", "4"),
        "2 \u00b7 A label for a model that knows none": ("2", "3", "5", "6", "7", "8"),
        "3 \u00b7 The pictures, and the run": ("What to look at", "9", "10", "11"),
    },
    titles={
        "1": "Load Denoiser: models/denoisers",
        "2": "Class Label: none",
        "4": "Load Classifier: models/classifiers",
    },
    view=(0.65, 60, 80),
)

ALL = (
    FIRST_LOOK,
    THE_GEOMETRY,
    CLASSIFIER_GUIDANCE,
    COLOURS,
    DPS_INPAINTING,
    TIME_TRAVEL,
    AUTOGUIDANCE,
    IMAGENET_CLASSIFIER,
)
LAYOUTS = {layout.name: layout for layout in ALL}
