"""Denoisers of the diffusers library from a local folder: JSON and safetensors are read, and no code in it is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ...files.claims import Field, check_claims, maybe, number, one_of, require, switch, table, text, whole
from ...files.folders import read_json, refuse_links, weight_files
from ...files.safetensors import read_safetensors
from ...guidance.printing import quote
from .dit_folders import FIELDS, dit_format, own_names
from .latents import PIXELS, SD_LATENTS, LatentSpace, rescale_space
from .schedules import Levels
from .spec import Format
from .unet2d import SETTINGS, rename_attention, unet_format

WEIGHTS, CONFIG, INDEX, SCHEDULER = (
    "diffusion_pytorch_model",
    "config.json",
    "model_index.json",
    "scheduler_config.json",
)
AGAIN = "Fetch the whole folder again."
KINDS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
BETAS = {"linear": ("vp_linear", 1.0), "scaled_linear": ("vp_linear", 2.0), "squaredcos_cap_v2": ("vp_cosine", 1.0)}
TRAINED = {
    "_class_name": require(text()),
    "prediction_type": maybe(one_of(*KINDS)),
    "predict_epsilon": maybe(switch()),
    "beta_schedule": maybe(text()),
    "beta_start": number(1e-9, 1),
    "beta_end": number(1e-9, 1),
    "num_train_timesteps": whole(2, 100_000),
    "rescale_betas_zero_snr": maybe(switch()),
}
PARTS = {"_class_name": maybe(text()), "id2label": maybe(table(text(1000), 100_000))}


@dataclass(frozen=True)
class Network:
    """One kind of network: what its config may say, the format that follows, and the weights by our names."""

    fields: Mapping[str, Field]
    form: Callable[[Mapping[str, Any]], Format]
    named: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


UNET = Network({key: kind for key, (_, kind) in SETTINGS.items()}, unet_format, rename_attention)
DIT = Network(FIELDS, dit_format, own_names)
NETWORKS = {
    "UNet2DModel": UNET,
    "DiTTransformer2DModel": DIT,
    "Transformer2DModel": DIT,  # what the first release of DiT's folders calls it
}


@dataclass(frozen=True)
class FolderContents:
    """What a folder holds: the format that its configs describe, the weights, and the files they lie in."""

    format: Format
    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...]


def read_folder(folder: Path) -> FolderContents:
    """Read a folder of one network, or of a pipeline with one.

    Raises FileNotFoundError for a missing config.json, ValueError for a folder of another kind or one that does not fit
    together.
    """
    refuse_links(folder)
    index = read_json(folder / INDEX) if (folder / INDEX).is_file() else {}
    place = _network_in(folder, index)
    config = read_json(place / CONFIG)
    network = NETWORKS.get(str(config.get("_class_name")))
    if network is None:
        raise ValueError(f"{folder.name}/ holds a {quote(config.get('_class_name'))}. {_list_kinds()}")
    check_claims(f"{folder.name}/{CONFIG}", config, network.fields, AGAIN)
    files = tuple(weight_files(place, WEIGHTS))
    tensors = {name: tensor for file in files for name, tensor in read_safetensors(file)[0].items()}
    try:
        form, tensors = network.form(config), network.named(tensors)
    except KeyError as missing:
        raise ValueError(f"{folder.name}/ has no weight {missing}. {AGAIN}") from None
    except ValueError as wrong:
        raise ValueError(f"{folder.name}/ {wrong}") from None
    except (ArithmeticError, IndexError, RuntimeError):
        raise ValueError(f"{folder.name}/ has weights whose shapes do not fit together. {AGAIN}") from None
    facts = _read_training(folder) | _names(folder, index)
    return FolderContents(_join_parts(form, facts, folder), tensors, files)


def _join_parts(form: Format, facts: Mapping[str, Any], folder: Path) -> Format:
    """The network's format, with what the other parts of the folder say."""

    def publication(sizes: Mapping[str, Any]) -> Any:
        published = form.published(sizes)
        return replace(published, latents=_latents(folder, published.latents), **facts)

    return replace(form, published=publication)


def _list_kinds() -> str:
    kinds = ", ".join(NETWORKS)
    return f"Load Denoiser reads folders with {kinds}. For text models use Load Checkpoint or Load Diffusion Model."


def _network_in(folder: Path, index: Mapping[str, Any]) -> Path:
    """Where the one network of a pipeline lies; the folder itself without a pipeline.  Raises ValueError."""
    if not index:
        return folder
    check_claims(f"{folder.name}/{INDEX}", index, PARTS, AGAIN)
    pairs = {name: entry for name, entry in index.items() if isinstance(entry, list) and len(entry) == 2}
    parts = {name: str(kind) for name, (_, kind) in pairs.items() if kind}
    networks = [name for name, kind in parts.items() if kind in NETWORKS]
    others = [
        f"{name} ({quote(kind)})"
        for name, kind in parts.items()
        if kind not in NETWORKS and kind != "AutoencoderKL" and not kind.endswith("Scheduler")
    ]
    if others or len(networks) != 1:
        what = quote(index.get("_class_name"))
        raise ValueError(f"{folder.name}/ is a {what} with {', '.join(others) or 'no network'}. {_list_kinds()}")
    inner = folder / networks[0]
    return inner if networks[0].isidentifier() and inner.is_dir() else folder


def _read_training(folder: Path) -> dict[str, Any]:
    """Parametrisation and noise levels, by the scheduler that is saved beside the network."""
    file = next((path for path in (folder / "scheduler" / SCHEDULER, folder / SCHEDULER) if path.is_file()), None)
    if file is None:
        return {"parametrisation": None, "schedule": None, "doubt": f"{SCHEDULER}, which says so, is missing."}
    config, where = read_json(file), f"{folder.name}/{SCHEDULER}"
    check_claims(where, config, TRAINED, AGAIN)
    if config["_class_name"].startswith("FlowMatch"):
        return {"parametrisation": "flow", "schedule": "flow", "levels": _levels(where, config, 1.0)}
    betas = config.get("beta_schedule")
    if betas not in BETAS or config.get("trained_betas") or config.get("rescale_betas_zero_snr"):
        raise ValueError(
            f"{where}: the {quote(config['_class_name'])} has {quote(betas)} betas, its own, or rescaled ones. This "
            f"node reads {', '.join(BETAS)} as they are, and schedulers of FlowMatch."
        )
    kind = "sample" if config.get("predict_epsilon") is False else config.get("prediction_type") or "epsilon"
    schedule, power = BETAS[betas]
    return {"parametrisation": KINDS[kind], "schedule": schedule, "levels": _levels(where, config, power)}


def _levels(where: str, config: Mapping[str, Any], power: float) -> Levels:
    usual = Levels()
    try:
        return Levels(
            timesteps=config.get("num_train_timesteps", usual.timesteps),
            beta_start=config.get("beta_start", usual.beta_start),
            beta_end=config.get("beta_end", usual.beta_end),
            beta_power=power,
        )
    except ValueError as wrong:
        raise ValueError(f"{where}: {wrong}") from None


def _names(folder: Path, index: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The labels that a pipeline names, made so that each can be typed: a name of two classes has its number, too."""
    labels = index.get("id2label") or {}
    if not labels:
        return {}
    if set(labels) != {str(number) for number in range(len(labels))}:
        raise ValueError(f"{folder.name}/{INDEX}: id2label does not count from 0 to {len(labels) - 1}. {AGAIN}")
    names = [" ".join(labels[str(number)].replace(";", ",").split()) or str(number) for number in range(len(labels))]
    often = Counter(names)
    return {"labels": tuple(name if often[name] == 1 else f"{name} ({at})" for at, name in enumerate(names))}


def _latents(folder: Path, usual: LatentSpace) -> LatentSpace:
    """The latents of the VAE that lies beside the network, which another factor may scale."""
    file = folder / "vae" / CONFIG
    if usual == PIXELS or not file.is_file():
        return usual
    config = read_json(file)
    check_claims(f"{folder.name}/vae/{CONFIG}", config, {"scaling_factor": number(1e-6, 1e6)}, AGAIN)
    factor = config.get("scaling_factor", SD_LATENTS.scale[0])
    space = rescale_space(factor, f"the VAE of {folder.name}/")
    return usual if space == usual else space
