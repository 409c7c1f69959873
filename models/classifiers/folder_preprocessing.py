"""How a folder of the transformers library prepares pictures: a resize, a cut and one affine map.

The library's own image processor prepares a few pictures. The map is read from them, and the geometry, which is read
from its settings, is held against them: whatever it does besides is refused. It cannot prepare the pictures itself, as
it rounds them to bytes, which stops the gradient.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...files.claims import check_claims
from ...files.folders import read_json
from .contract import library, sides_of
from .folder_checks import AGAIN, LARGEST_SIDE, OFFLINE, PREPARED, explain_errors, refuse_code, settings_in
from .preprocessing import Preprocessing

FILES = ("preprocessor_config.json", "processor_config.json")
MODES = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
SIDES = ((47, 47), (41, 59), (61, 43))  # of the pictures that are compared; odd, so that a rounding shows
APART = 0.04  # of black to white: rounding to bytes and a cut one place off; another geometry is .1 and more apart
WARPED = 384  # shorter sides from which ConvNeXt's processor stretches and cuts nothing
READ = {*PREPARED, "do_rescale", "rescale_factor", "do_normalize", "image_processor_type"}


def preprocessing_of(folder: Path, whole: bool = False) -> Preprocessing:
    """What the image processor of a folder does.  whole: nothing of the picture may be cut away

    Raises ValueError where its files do not say, or say more than is done here.
    """
    file = f"{folder.name}/{FILES[0]}"
    stated = check_files(folder)
    with explain_errors(f"{file} is not usable"):
        processor = library("transformers", file).AutoImageProcessor.from_pretrained(str(folder), **OFFLINE)
        settings = json.loads(processor.to_json_string())
        seen = replace(geometry(settings), **affine_map(processor))
        apart = max(difference(seen, processor, sides) for sides in SIDES)
        if settings.get("do_center_crop"):  # a small cut shows little of how it was resized
            whole_picture = replace(seen, cut=None)
            apart = max(apart, difference(whole_picture, processor, SIDES[1], do_center_crop=False))
    if apart > APART:
        others = sorted(key for key, value in stated.items() if value and key not in READ)
        raise ValueError(
            f"{file}: {type(processor).__name__} prepares pictures otherwise than its size, crop and means say; "
            f"what it shows the network is up to {apart:.0%} of white away. Of its settings these are not obeyed here: "
            f"{', '.join(others) or 'none; its own code does it'}. Choose a network that is prepared by resizing and "
            "cropping alone."
        )
    if whole and seen.middle:
        raise ValueError(
            f"{file}: do_center_crop cuts the picture to {seen.middle}, but a map must cover all of it. "
            "Set it to false."
        )
    return seen


def check_files(folder: Path) -> dict[str, Any]:
    """The settings in a folder, checked before the library reads them."""
    stated: dict[str, Any] = {}
    for path in (folder / name for name in FILES if (folder / name).is_file()):
        file, settings = f"{folder.name}/{path.name}", read_json(path)
        refuse_code(file, settings)
        inner = settings.get("image_processor")
        settings = inner if isinstance(inner, dict) else settings
        check_claims(file, settings, PREPARED, AGAIN)
        for key, size in settings_in(settings):
            if type(size) is int and size > LARGEST_SIDE:
                raise ValueError(f"{file}: {key} is {size}; at most {LARGEST_SIDE} is read. {AGAIN}")
        stated |= settings
    return stated


def geometry(settings: Mapping[str, Any]) -> Preprocessing:
    """Resize and cut, as the settings of an image processor name them.  Raises ValueError for what is not done here"""
    size, crop = settings.get("size") or {}, settings.get("crop_size")
    cut = sides_of([crop["height"], crop["width"]]) if settings.get("do_center_crop") and crop else None
    if not settings.get("do_resize"):
        return Preprocessing(cut=cut)
    if settings.get("resample", 2) not in MODES:
        raise ValueError(f"resample is {settings['resample']}; 0 (nearest), 2 (bilinear) or 3 (bicubic) is needed")
    mode = MODES[settings.get("resample", 2)]
    sides = {key for key, side in size.items() if side}
    if sides == {"height", "width"}:
        fit = "keep" if settings.get("keep_aspect_ratio") else "stretch"
        multiple = settings.get("ensure_multiple_of") or 1
        return Preprocessing(sides_of([size["height"], size["width"]]), mode=mode, fit=fit, multiple=multiple, cut=cut)
    if sides != {"shortest_edge"}:
        raise ValueError(f"size has {sorted(sides)}; height and width, or shortest_edge alone, are needed")
    short = size["shortest_edge"]
    share = settings.get("crop_pct")
    if share and not cut:  # as ConvNeXt and ResNet are prepared
        if short >= WARPED:
            return Preprocessing((short, short), mode=mode, fit="stretch")
        cut = (short, short)
    short = int(short / share) if share else short
    return Preprocessing((short, short), mode=mode, fit="cover", cut=cut)


def affine_map(processor: Any) -> dict[str, Any]:
    """Mean, standard deviation and order of the channels, as black, red, green and blue pictures come out."""
    colours = torch.cat([torch.zeros(1, 3), 255 * torch.eye(3)]).to(torch.uint8)
    shown = [prepared(processor, colour[:, None, None].expand(3, *SIDES[0])) for colour in colours]
    black, *primaries = (x[0, :, x.shape[2] // 2, x.shape[3] // 2].double() for x in shown)
    slopes = torch.stack([primary - black for primary in primaries], dim=1)  # [channel shown, channel of the picture]
    bgr = bool(slopes[0, 2].abs() > slopes[0, 0].abs())
    if bgr:
        slopes = slopes.flip(1)
    scale = slopes.diag()
    if not (scale > 0).all() or (slopes - scale.diag()).abs().max() > 1e-4 * scale.max():
        raise ValueError("it mixes the channels, or makes nothing of them; a factor above 0 for each is needed")
    return {"mean": tuple((0.0 - black / scale).tolist()), "std": tuple((1 / scale).tolist()), "bgr": bgr}


def prepared(processor: Any, picture: Tensor, **changed: Any) -> Tensor:  # uint8 [3, H, W] -> [1, 3, h, w]
    """What the library makes of a picture.  changed: settings, this time"""
    shown = processor(images=picture.movedim(0, -1).numpy(), return_tensors="pt", **changed)["pixel_values"].float()
    if shown.ndim != 4 or shown.shape[1] != 3:
        raise ValueError(f"it makes {tuple(shown.shape)} of a picture; [1, 3, height, width] is needed")
    return shown


def difference(seen: Preprocessing, processor: Any, sides: tuple[int, int], **changed: Any) -> float:
    """How far ours is from the library's on a smooth picture, at most, as a share of black to white."""
    rows, columns = (torch.linspace(0, 1, side) for side in sides)
    waves = [(5 * rows[:, None] + channel).sin() + (6 * columns + channel).cos() for channel in range(3)]
    picture = (127.5 + 60 * torch.stack(waves)).to(torch.uint8)
    wanted, got = prepared(processor, picture, **changed), seen(picture[None] / 127.5 - 1)
    if wanted.shape != got.shape:
        return 1.0
    return float(((wanted - got).abs() * torch.tensor(seen.std)[:, None, None]).max())
