"""Folders of the transformers library: the same function, a true slope, and nothing run, fetched or invented."""

import json
import resource
import sys

import pytest
from safetensors.torch import load_file, save_file

from guidance_geometry.dev.fixtures.tiny_folders import NETWORKS, save_tiny
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.models.classifiers.reading import open_classifier
from guidance_geometry.models.classifiers.wired import CleanClassifier, ImageTextModel
from guidance_geometry.tests.classifier_slopes import mac_error, noise, open_as, slope_error

pytest.importorskip("transformers", reason="transformers comes with the host")
SCORES = {
    "labels": lambda guide, x: guide.logits(x).log_softmax(1)[:, 1],
    "segmentation": lambda guide, x: guide.logits(x).log_softmax(1)[:, 1].flatten(1).mean(1),
    "depth": lambda guide, x: guide.depth(x).flatten(1).mean(1),
    "text": lambda guide, x: guide.scale * guide.image_features(x) @ guide.text_features(["a photo of a cat"])[0],
    "features": lambda guide, x: guide.features(x)[:, 3],
}
OUTPUTS = {"vit": "labels", "segformer": "segmentation", "depth_anything": "depth", "dpt": "depth"}
OUTPUTS |= {"clip": "text", "siglip": "text", "dino": "features"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net").mkdir()
    return tmp_path / "net"


def changed(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_folder_gives_a_guide_with_a_true_slope(folder, kind):
    network = save_tiny(folder, kind)
    guide = open_classifier(folder)
    assert (guide.output, guide.name, guide.noise_aware, guide.judge) == (OUTPUTS[kind], "net/", False, False)
    assert not any(tensor.requires_grad or tensor.is_inference() for tensor in guide.network.parameters())
    x = 0.5 * noise((1, 3, 40, 40))
    assert slope_error(lambda x: SCORES[guide.output](guide, x), x, 1e-2) <= 1e-2
    assert mac_error(lambda x: SCORES[guide.output](guide, x), x) <= 1e-3
    if isinstance(guide, CleanClassifier):
        assert guide.labels == ("cat", "dog", "sky")
        assert (guide.logits(x) - network(guide.preprocessing(x)).logits).abs().max() <= 1e-5


@pytest.mark.parametrize(("kind", "bias"), [("clip", False), ("siglip", True)])
def test_both_towers_meet_in_the_librarys_own_logits(folder, kind, bias):
    network = save_tiny(folder, kind)
    guide = open_as(folder, ImageTextModel)
    texts, x = ["a photo of a cat", "a dog"], noise((2, 3, 32, 32))
    logits = guide.scale * guide.image_features(x) @ guide.text_features(texts).T + (guide.bias or 0)
    assert (guide.bias is not None) == bias
    length = {"max_length": 8} if bias else {}
    import transformers

    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        texts, padding="max_length" if bias else True, return_tensors="pt", **length
    )
    shown = {key: tokens[key] for key in (("input_ids",) if bias else ("input_ids", "attention_mask"))}
    wanted = network(pixel_values=guide.preprocessing(x), **shown).logits_per_image
    assert (logits - wanted).abs().max() <= 1e-4 * wanted.abs().max()


ELSEWHERE = [
    ("config", {"auto_map": {"AutoModelForImageClassification": "evil.Model"}}),
    ("config", {"quantization_config": {"quant_method": "bitsandbytes"}}),
    ("config", {"backbone_config": {"use_pretrained_backbone": True}}),
    ("config", {"_attn_implementation": "somebody/kernels"}),
    ("config", {"vision_config": {"transformers_weights": "model.bin"}}),
    # timm reads whatever its own settings name: a pickle beside the weights, an address
    ("config", {"model_type": "timm_wrapper", "model_args": {"checkpoint_path": "model.safetensors"}}),
    ("config", {"text_config": {"inner": [{"model_type": "timm_backbone"}]}}),
    ("tokenizer_config", {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}),
    ("tokenizer_config", {"vocab_file": "/etc/hostname"}),
]


@pytest.mark.parametrize(("file", "setting"), ELSEWHERE, ids=str)
def test_code_and_files_from_elsewhere_are_refused(folder, file, setting, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)  # an import of it would raise ImportError
    save_tiny(folder, "clip")
    canary = folder.parent / "canary"
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Model: pass\n")
    changed(folder / f"{file}.json", **setting)
    with pytest.raises(ValueError, match=rf"net/{file}\.json asks for .*: code or weights from elsewhere"):
        open_classifier(folder)
    assert not canary.exists()


def test_a_link_is_refused(folder):
    save_tiny(folder, "clip")
    (folder / "tokenizer.json").rename(folder.parent / "tokenizer.json")
    (folder / "tokenizer.json").symlink_to(folder.parent / "tokenizer.json")
    with pytest.raises(ValueError, match=r"net/tokenizer\.json is a link, and links are not followed"):
        open_classifier(folder)


@pytest.mark.parametrize("claim", [{"hidden_size": 4096, "num_attention_heads": 64}, {"image_size": 10**6}], ids=str)
def test_a_network_larger_than_its_weights_is_refused_before_memory_is_taken(folder, claim):
    save_tiny(folder, "vit")
    changed(folder / "config.json", **claim)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"^net/.*(the weights h|cannot be loaded)"):
        open_classifier(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"


UNREADABLE = r"^net/ cannot be loaded"
PREPARED = r"^net/preprocessor_config\.json"
CLAIMS = [  # of a file of a network: what it says, and how it is refused
    ("vit", "config", {"id2label": {"0": "cat", "1": "dog", "7": "sky"}}, "names 3 labels but not 2"),
    ("vit", "config", {"id2label": {"0": "x" * 10**5, "1": "dog", "2": "sky"}}, "id2label.0 is a str; a text"),
    ("vit", "config", {"num_attention_heads": "x"}, UNREADABLE),
    ("dpt", "config", {"backbone_out_indices": [9]}, "^net/ "),
    ("vit", "config", {"problem_type": "regression"}, "problem_type regression"),
    ("vit", "preprocessor_config", {"size": 10**6}, PREPARED),
    ("vit", "preprocessor_config", {"crop_size": {"height": -1}, "do_center_crop": True}, PREPARED),
]


@pytest.mark.parametrize(("kind", "file", "claim", "message"), CLAIMS, ids=str)
def test_a_wrong_claim_is_named_when_the_folder_is_loaded(folder, kind, file, claim, message):
    save_tiny(folder, kind)
    changed(folder / f"{file}.json", **claim)
    with pytest.raises(ValueError, match=message) as caught:
        open_classifier(folder)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", b'{"architectures": ["ViTForImageClassification"]}', "model_type is missing"),
        ("adapter_config.json", b"{}", "holds an adapter"),
    ],
)
def test_a_folder_of_another_kind_is_refused(folder, file, content, message):
    """Without a type the library would take it from the folder's name, which may be timm_wrapper."""
    save_tiny(folder, "vit")
    (folder / file).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_classifier(folder)


def test_labels_that_do_not_exclude_each_other_are_not_compared(folder):
    save_tiny(folder, "vit")
    changed(folder / "config.json", problem_type="multi_label_classification")
    guide, x = open_as(folder, CleanClassifier), noise((1, 3, 32, 32))
    with pytest.raises(ValueError, match="Set kind to multi-label"):
        LabelEnergy(guide, ((0,),))
    assert LabelEnergy(guide, ((0,),), "multi-label").log_prob(x).shape == (1,)


def test_a_missing_text_projection_is_no_random_one(folder):
    save_tiny(folder, "clip")
    weights = load_file(folder / "model.safetensors")
    weights.pop("text_projection.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 tensors, among them text_projection\.weight"):
        open_classifier(folder)
