"""Tiny networks of the transformers library, saved as a user would have them: config, safetensors, preprocessor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
LABELS = {0: "cat", 1: "dog", 2: "sky"}
WORDS = ("[PAD]", "[UNK]", "a", "photo", "of", "cat", "dog", "<|endoftext|>")


def lively(network: nn.Module, seed: int = 0, seen: Tensor | None = None) -> nn.Module:
    """Random weights under which signals keep their size: normal with deviation 1/sqrt(fan in), norms near one.

    seen: images whose statistics batch norms are given, or signals fade on their way through many of them.
    """
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point() or "relative_coords" in name or "position_ids" in name:
                continue
            fresh = torch.randn(tensor.shape, generator=draws)
            if name.endswith("running_var"):
                tensor.copy_(1 + 0.1 * fresh.abs())
            elif tensor.ndim < 2:
                tensor.copy_(0.1 * fresh + (1 if name.endswith("weight") else 0))
            else:
                tensor.copy_(fresh / tensor[0].numel() ** 0.5)
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for module in norms if seen is not None else ():
            module.momentum = 1.0
        if norms and seen is not None:
            network.train()(seen)
    return network.eval().requires_grad_(False)


def vit() -> Any:
    """A classifier of images."""
    import transformers

    config = transformers.ViTConfig(**ENCODER, image_size=32, patch_size=8, id2label=LABELS)
    return transformers.ViTForImageClassification(config)


def segformer() -> Any:
    """A segmentation network."""
    import transformers

    config = transformers.SegformerConfig(
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        sr_ratios=[4, 2, 1, 1],
        mlp_ratios=[2, 2, 2, 2],
        decoder_hidden_size=16,
        id2label=LABELS,
    )
    return transformers.SegformerForSemanticSegmentation(config)


def depth_anything() -> Any:
    """A depth network with a backbone of its own kind."""
    import transformers

    backbone = transformers.Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=8,
    )
    return transformers.DepthAnythingForDepthEstimation(config)


def dpt() -> Any:
    """A depth network."""
    import transformers

    config = transformers.DPTConfig(
        **{**ENCODER, "num_hidden_layers": 4},
        image_size=32,
        patch_size=8,
        is_hybrid=False,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        use_auxiliary_head=False,
    )
    return transformers.DPTForDepthEstimation(config)


def towers(kind: str) -> Any:
    """An image tower and a text tower.  kind: clip or siglip"""
    import transformers

    text = {**ENCODER, "vocab_size": len(WORDS), "max_position_embeddings": 8}
    vision = {**ENCODER, "image_size": 32, "patch_size": 8}
    if kind == "clip":
        ends = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": len(WORDS) - 1}
        config = transformers.CLIPConfig(text_config=text | ends, vision_config=vision, projection_dim=16)
        return transformers.CLIPModel(config)
    config = transformers.SiglipConfig(text_config=text | {"projection_size": 32}, vision_config=vision)
    return transformers.SiglipModel(config)


def dino() -> Any:
    """A network that gives image features."""
    import transformers

    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    return transformers.Dinov2Model(config)


NETWORKS = {
    "vit": (vit, 32),
    "segformer": (segformer, 64),
    "depth_anything": (depth_anything, 56),
    "dpt": (dpt, 32),
    "clip": (lambda: towers("clip"), 32),
    "siglip": (lambda: towers("siglip"), 32),
    "dino": (dino, 28),
}


def save_tokenizer(folder: Path) -> None:
    """A tokenizer of the few words that are known."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", len(WORDS) - 1)]
    )
    ends = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "<|endoftext|>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, **ends).save_pretrained(folder)


def save_tiny(folder: Path, kind: str, **saving: Any) -> nn.Module:
    """Save one of the tiny networks, with lively weights, and give it back."""
    make, side = NETWORKS[kind]
    network = lively(make())
    network.save_pretrained(folder, **saving)
    prepared = {"size": {"height": side, "width": side}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared), encoding="utf-8")
    if kind in ("clip", "siglip"):
        save_tokenizer(folder)
    return network
