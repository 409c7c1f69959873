"""Tiny networks of the transformers library, saved as a user would have them: config, safetensors, preprocessor."""

import json

import pytest

from guidance_geometry.tests.classifiers.slopes import lively

transformers = pytest.importorskip("transformers", reason="transformers comes with the host")
ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
LABELS = {0: "cat", 1: "dog", 2: "sky"}
WORDS = ("[PAD]", "[UNK]", "a", "photo", "of", "cat", "dog", "<|endoftext|>")


def vit():
    config = transformers.ViTConfig(**ENCODER, image_size=32, patch_size=8, id2label=LABELS)
    return transformers.ViTForImageClassification(config)


def segformer():
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


def depth_anything():
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


def dpt():
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


def towers(kind):
    text = {**ENCODER, "vocab_size": len(WORDS), "max_position_embeddings": 8}
    vision = {**ENCODER, "image_size": 32, "patch_size": 8}
    if kind == "clip":
        ends = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": len(WORDS) - 1}
        config = transformers.CLIPConfig(text_config=text | ends, vision_config=vision, projection_dim=16)
        return transformers.CLIPModel(config)
    config = transformers.SiglipConfig(text_config=text | {"projection_size": 32}, vision_config=vision)
    return transformers.SiglipModel(config)


def dino():
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


def save_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", len(WORDS) - 1)]
    )
    ends = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "<|endoftext|>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, **ends).save_pretrained(folder)


def save_tiny(folder, kind, **saving):
    """Save one of the tiny networks, with lively weights, and give it back."""
    make, side = NETWORKS[kind]
    network = lively(make())
    network.save_pretrained(folder, **saving)
    prepared = {"size": {"height": side, "width": side}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))
    if kind in ("clip", "siglip"):
        save_tokenizer(folder)
    return network
