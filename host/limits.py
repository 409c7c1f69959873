"""What widgets offer and how far they go, apart from the modules that do the work: a start needs none of those."""

from __future__ import annotations

import torch

from ..samplers import PAPERS

RATE, LEAN = "rate", "DSG"
WAYS = (RATE, *PAPERS, LEAN)  # in which a sampler of ours uses gradients
SAVES = ("none", "png", "svg", "all", "webp", "apng")
BEST_BY = ("auto", "judge", "saturation")
MODES = ("exact", "shared")
WEIGHT_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}
MOST_UNCOND = 64  # steps of a run
MOST_DRAWS = 64  # pairs of noise with which a model is asked about a picture
MOST_RUNS = 16  # of a recorded MODEL
DIRECT, DECODED = 20, 8  # steps with pictures on a page: as they are, or through a VAE
WIDTH_STEP = 8  # of a small network, whose group norms have eight groups
