"""Classifiers of the transformers library from a local folder: config.json and safetensors, offline, no code in it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...files.claims import check_claims
from ...files.folders import read_json
from ...guidance.vectors import gradient_mode
from .contract import library
from .folder_checks import (
    AGAIN,
    OFFLINE,
    TOKENIZER,
    check_size,
    check_type,
    checked_config,
    explain_errors,
    refuse_code,
)
from .folder_preprocessing import preprocessing_of
from .wired import CleanClassifier, DepthEstimator, FeatureExtractor, ImageNetwork, ImageTextModel, WiredNetwork

LARGEST_ASKED = 1024**2  # pixels of the picture that a network is asked about once
SAMPLES = ("a", "two texts of unequal length")  # what every tokenizer must read
TOKENIZERS = re.compile(r"(CLIP|Siglip|Gemma|XLMRoberta|T5|PreTrained)Tokenizer(Fast)?|TokenizersBackend")
DEPTH = ("DPTForDepthEstimation", "DepthAnythingForDepthEstimation")
TOWERS = ("CLIPModel", "SiglipModel")
FEATURES = ("Dinov2Model", "Dinov2WithRegistersModel", "CLIPVisionModelWithProjection", "SiglipVisionModel", "ViTModel")


class Answer(nn.Module):
    """A transformers network asked for one thing.  ask: network, images -> that"""

    def __init__(self, network: nn.Module, ask: Callable[[Any, Tensor], Any]):
        super().__init__()
        self.network, self.ask = network, ask

    def forward(self, x: Tensor) -> Tensor:  # [B, 3, H, W] -> what was asked for
        """Ask."""
        return self.ask(self.network, x)


def folder_classifier(folder: Path) -> WiredNetwork:
    """Load a folder and ask its network once: what does not fit together inside it is found here, not in a run.

    Raises as `built`.
    """
    guide = build_guide(folder)
    size = guide.preprocessing.shown
    if size and math.prod(size) <= LARGEST_ASKED:
        with explain_errors(f"{guide.name} does not answer"), torch.no_grad():
            guide.answer(torch.zeros(1, 3, *size))
    return guide


def build_guide(folder: Path) -> ImageNetwork:
    """Load image classification, semantic segmentation, depth, CLIP/SigLIP or image features from a folder.

    Raises FileNotFoundError where config.json is missing, ValueError for a folder that is not offline, safe and whole,
    and for a kind of network that no guide is made of.
    """
    config = checked_config(folder)
    kind = (config.get("architectures") or ["nothing"])[0]
    transformers = library("transformers", f"{folder.name}/")
    name = f"{folder.name}/"
    if kind.endswith("ForImageClassification"):
        network = load_network(transformers.AutoModelForImageClassification, folder)
        if network.config.problem_type == "regression":
            raise ValueError(f"{name} measures numbers (problem_type regression). Choose one that tells labels apart.")
        several = network.config.problem_type == "multi_label_classification"
        answer, seen = Answer(network, logits), preprocessing_of(folder)
        return CleanClassifier(name, answer, names_of(network), seen, independent=several)
    if kind.endswith("ForSemanticSegmentation"):
        network = load_network(transformers.AutoModelForSemanticSegmentation, folder)
        seen = preprocessing_of(folder, whole=True)
        return CleanClassifier(name, Answer(network, logits), names_of(network), seen, "segmentation")
    if kind in DEPTH:
        network = load_network(transformers.AutoModelForDepthEstimation, folder)
        metric = config.get("depth_estimation_type") == "metric"
        return DepthEstimator(name, Answer(network, depth), (), preprocessing_of(folder, whole=True), not metric)
    if kind in TOWERS:
        return image_text_model(name, load_network(getattr(transformers, kind), folder), folder, transformers)
    if kind in FEATURES:
        network = load_network(getattr(transformers, kind), folder)
        return FeatureExtractor(name, Answer(network, pool_embedding), (), preprocessing_of(folder))
    raise ValueError(
        f"{name} is a {kind}. This node reads networks for image classification, semantic segmentation and depth "
        f"({', '.join(DEPTH)}), {' and '.join(TOWERS)}, and for probes {', '.join(FEATURES)}."
    )


def logits(network: nn.Module, x: Tensor) -> Tensor:
    """Logits of classes, or of classes at every place."""
    return network(pixel_values=x).logits


def depth(network: nn.Module, x: Tensor) -> Tensor:
    """The predicted depth, [B, h, w]."""
    return network(pixel_values=x).predicted_depth


def pool_embedding(network: nn.Module, x: Tensor) -> Tensor:
    """One vector an image: the projected embedding where there is one, else the pooled state."""
    output = network(pixel_values=x)
    embedding = getattr(output, "image_embeds", None)
    return output.pooler_output if embedding is None else embedding


def image_embedding(network: Any, x: Tensor) -> Tensor:
    """Image features of a pair of towers; newer versions of the library wrap them in an output object."""
    return unpack_output(network.get_image_features(pixel_values=x))


def unpack_output(output: Any) -> Tensor:
    """The tensor itself, or the pooled one of an output object."""
    return output if isinstance(output, Tensor) else output.pooler_output


def image_text_model(name: str, network: Any, folder: Path, transformers: Any) -> ImageTextModel:
    """A pair of towers with the scale (and bias, for SigLIP) of their logits."""
    tokenizer = checked_tokenizer(folder, transformers)
    sigmoid = hasattr(network, "logit_bias")
    length, words = (getattr(network.config.text_config, name) for name in ("max_position_embeddings", "vocab_size"))
    padding = "max_length" if sigmoid else True

    def tokens_of(texts: list[str]) -> Any:
        tokens = tokenizer(texts, padding=padding, truncation=True, max_length=length, return_tensors="pt")
        if (most := int(tokens["input_ids"].max())) >= words:
            raise ValueError(f"token {most} is none of the {words:,} that the network knows")
        return tokens

    with explain_errors(f"{folder.name}/ has no usable tokenizer"):
        tokens_of(list(SAMPLES))

    def encode_texts(texts: list[str]) -> Tensor:
        tokens = tokens_of(texts)
        inputs = {key: tokens[key].to(network.device) for key in tokens if key in ("input_ids", "attention_mask")}
        if sigmoid:
            inputs.pop("attention_mask", None)  # trained on padded texts without a mask
        return unpack_output(network.get_text_features(**inputs))

    return ImageTextModel(
        name,
        Answer(network, image_embedding),
        (),
        preprocessing_of(folder),
        encode_texts,
        float(network.logit_scale.detach().exp()),
        float(network.logit_bias.detach()) if sigmoid else None,
    )


def load_network(kind: Any, folder: Path) -> Any:
    """The network with all its weights: the library itself would fill missing ones with random numbers."""
    check_type(folder)
    with explain_errors(f"{folder.name}/ cannot be loaded"), gradient_mode():
        planned = planned_size(kind, folder)
    check_size(folder, planned)
    with explain_errors(f"{folder.name}/ cannot be loaded"), gradient_mode():
        network, report = kind.from_pretrained(
            str(folder),
            use_safetensors=True,
            output_loading_info=True,
            attn_implementation="eager",
            **OFFLINE,
        )
    missing = sorted(key for key in report["missing_keys"] if "position_ids" not in key)
    wrong = [*missing, *map(str, report["mismatched_keys"])]
    if wrong:
        raise ValueError(
            f"{folder.name}/ lacks {len(wrong)} tensors, among them {wrong[0]}; they would be random numbers. "
            "Fetch the folder of the whole model."
        )
    return network


def planned_size(kind: Any, folder: Path) -> int:
    """Numbers in the network that a config describes; it takes no memory."""
    config = library("transformers", f"{folder.name}/").AutoConfig.from_pretrained(str(folder), **OFFLINE)
    make = getattr(kind, "from_config", None) or kind._from_config
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in make(config, attn_implementation="eager").parameters())


def checked_tokenizer(folder: Path, transformers: Any) -> Any:
    """The tokenizer of a text tower, of a kind that reads plain tables."""
    config = read_json(folder / "tokenizer_config.json")
    refuse_code(f"{folder.name}/tokenizer_config.json", config)
    check_claims(f"{folder.name}/tokenizer_config.json", config, TOKENIZER, AGAIN)
    kind = config.get("tokenizer_class") or "CLIPTokenizer"
    if not TOKENIZERS.fullmatch(kind):
        raise ValueError(f"{folder.name}/ names the tokenizer {kind!r}, which is not one of CLIP or SigLIP.")
    newer = kind == "TokenizersBackend" and not hasattr(transformers, kind)  # version 5's name for version 4's fast one
    reader = transformers.PreTrainedTokenizerFast if newer else transformers.AutoTokenizer
    with explain_errors(f"{folder.name}/ has no usable tokenizer"):
        return reader.from_pretrained(str(folder), **OFFLINE)


def names_of(network: Any) -> tuple[str, ...]:
    """The labels of a classification or segmentation network, in the order of its logits."""
    names = network.config.id2label
    gap = next((index for index in range(len(names)) if index not in names), None)
    if gap is not None:
        raise ValueError(f"{network.config.name_or_path}: id2label names {len(names)} labels but not {gap}. {AGAIN}")
    return tuple(str(names[index]) for index in range(len(names)))
