"""Where the authors of published networks offer their files, by how their names begin."""

from __future__ import annotations

import re
from pathlib import PurePath

CONVERT = "guidance-geometry convert FILE"
PAGES = {  # how a name begins -> the ending of the published file, and the page that links it
    r"edm2-img(64|512)-": (".pkl", "https://github.com/NVlabs/edm2"),
    r"edm-(cifar10|ffhq|afhqv2|imagenet)-": (".pkl", "https://github.com/NVlabs/edm"),
    r"(\d+x\d+_(diffusion|classifier)|lsun_)": (".pt", "https://github.com/openai/guided-diffusion"),
    r"DiT-XL-2-": (".pt", "https://github.com/facebookresearch/DiT"),
}


def source_of_file(name: str) -> str:
    """Where to get a file of this name, as a sentence and a space; empty for names that nobody published."""
    stem = PurePath(name).name.removesuffix(".safetensors")
    for begins, (ending, page) in PAGES.items():
        if re.match(begins, stem):
            return f"It is published as {stem}{ending} at {page}; `{CONVERT}` makes a .safetensors of it. "
    return ""
