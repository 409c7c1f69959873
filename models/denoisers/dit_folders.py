"""DiTs as the diffusers library saves them: their config.json, and their weights by the names of the released files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...files.claims import Field, maybe, number, one_of, require, switch, whole
from .dit import DIT
from .spec import Format, Shapes, axes
from .transformer import positions
from .unet2d import native_side

FIELDS: dict[str, Field] = {  # of config.json
    "num_attention_heads": require(whole(1, 256)),
    "attention_head_dim": require(whole(1, 1024)),
    "in_channels": require(whole(1, 64)),
    "out_channels": maybe(whole(1, 128)),
    "num_layers": require(whole(1, 256)),
    "attention_bias": switch(),
    "sample_size": require(whole(1, 128)),
    "patch_size": require(whole(1, 64)),
    "activation_fn": one_of("gelu-approximate"),
    "num_embeds_ada_norm": require(whole(1, 100_000)),
    "norm_type": one_of("ada_norm_zero"),
    "norm_elementwise_affine": switch(),
    "norm_eps": number(0, 1),
}
EMBEDDING, PROJECTION = "norm1.emb.", "x_embedder.proj.weight"
NAMES = {
    "pos_embed.proj": "x_embedder.proj",
    "proj_out_1": "final_layer.adaLN_modulation.1",
    "proj_out_2": "final_layer.linear",
    f"{EMBEDDING}timestep_embedder.linear_1": "t_embedder.mlp.0",
    f"{EMBEDDING}timestep_embedder.linear_2": "t_embedder.mlp.2",
    f"{EMBEDDING}class_embedder.embedding_table": "y_embedder.embedding_table",
    "norm1.linear": "adaLN_modulation.1",
    "attn1.to_out.0": "attn.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}
PARTS = ("attn1.to_q", "attn1.to_k", "attn1.to_v")  # one layer in the released files


def dit_format(config: Mapping[str, Any]) -> Format:
    """DiT as the library builds it: other frequencies of the time, and another epsilon.  Raises ValueError."""
    if config.get("norm_elementwise_affine") or config.get("attention_bias") is False:
        raise ValueError("describes norms with weights, or attention without a bias, which no DiT has.")
    usual = {"heads": config["num_attention_heads"], "shift": 1, "epsilon": config.get("norm_eps", 1e-5)}
    grid = native_side(config["sample_size"], config["patch_size"]) // config["patch_size"]

    def sizes(shapes: Shapes) -> dict[str, Any]:
        width = axes(shapes, PROJECTION, 4)[0]
        stored = DIT.sizes({**shapes, "pos_embed": (1, grid**2, width)})
        _compare(config, stored, DIT.labels(shapes))
        return stored | usual

    def state_dict(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        projection = weights[PROJECTION]
        where = positions(grid, projection.shape[0], projection.device).to(projection.dtype)
        return {**weights, "pos_embed": where}

    return replace(DIT, sizes=sizes, state_dict=state_dict, on_flow=None)


def _compare(config: Mapping[str, Any], sizes: Mapping[str, Any], labels: int) -> None:
    channels = config["in_channels"]
    stated = {
        "patch_size": sizes["patch"],
        "num_layers": sizes["depth"],
        "in_channels": sizes["channels"],
        "num_embeds_ada_norm": labels,
    }
    wrong = next((key for key, value in stated.items() if config[key] != value), None)
    if wrong:
        raise ValueError(f"has {wrong} = {config[wrong]} in its config.json but {stated[wrong]} in its weights")
    if (config.get("out_channels") or channels) != sizes["out"]:
        raise ValueError(f"has weights of {sizes['out']} output channels, other than its config.json")


def own_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the names of the released files; the position embedding is not saved.

    Raises KeyError for a missing weight, ValueError for blocks whose time and label embeddings differ.
    """
    renamed: dict[str, Tensor] = {}
    for name, weight in weights.items():
        block, part, kind = _place(name)
        if part.startswith(EMBEDDING) and block != "0":
            if not torch.equal(weight, weights[f"transformer_blocks.0.{part}.{kind}"]):
                raise ValueError("has blocks with time embeddings of their own, which no released DiT has.")
        elif part in PARTS[1:]:
            continue
        elif part == PARTS[0]:
            parts = [weights[f"transformer_blocks.{block}.{each}.{kind}"] for each in PARTS]
            renamed[f"blocks.{block}.attn.qkv.{kind}"] = torch.cat(parts)
        else:
            home = f"blocks.{block}." if block and not part.startswith(EMBEDDING) else ""
            renamed[f"{home}{NAMES.get(part, part)}.{kind}"] = weight
    return renamed


def _place(name: str) -> tuple[str, str, str]:
    """Number of the block (or nothing), part of it, and weight or bias."""
    part, _, kind = name.rpartition(".")
    home, block, inner = ([*part.split(".", maxsplit=2), "", ""])[:3]
    return (block, inner, kind) if home == "transformer_blocks" and inner else ("", part, kind)
