"""Published files of every form are converted bit for bit, and their cards say what became of them."""

import argparse
import json
import os
import pickle  # noqa: TID251  made here, never read here
import subprocess
import sys
import time
import zipfile
from itertools import cycle

import numpy as np
import pytest
import torch
from torch.nn import Linear

from guidance_geometry.cli.convert import main, statements
from guidance_geometry.files.safetensors import read_safetensors
from guidance_geometry.files.writing import NotWritten
from guidance_geometry.models.classifiers.adm import SIZES, AdmClassifier, AdmEntrance
from guidance_geometry.models.classifiers.wired import NoisyClassifier
from guidance_geometry.models.conversion.child import numbers_of
from guidance_geometry.models.conversion.convert import convert
from guidance_geometry.models.conversion.unpickling import Storage, record_class, view
from guidance_geometry.models.denoisers.reading import read_denoiser
from guidance_geometry.tests.classifier_slopes import open_as
from guidance_geometry.tests.models.conversion.conversions import USUAL_READER, refused, same
from guidance_geometry.tests.tiny_denoiser import tiny_weights
from guidance_geometry.tests.tiny_networks import NETWORKS, transformer_weights

NUMBERS = {
    "float32": torch.randn(3, 4),
    "float64": torch.randn(2).double(),
    "float16": torch.randn(5).half(),
    "bfloat16": torch.randn(2, 2).bfloat16(),
    "float8": torch.randn(4).to(torch.float8_e4m3fn),
    "int64": torch.tensor([-1, 2**40]),
    "int8": torch.tensor([-1, 2], dtype=torch.int8),
    "uint8": torch.tensor([255], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "a single number": torch.tensor(3.5),
    "nothing": torch.zeros(0, 3),
    "nan": torch.tensor([float("nan"), -0.0, float("inf")]),
    "transposed": torch.arange(12.0).reshape(3, 4).T,
    "every other": torch.arange(9.0)[1::2],
    "a slice": torch.arange(24.0).reshape(2, 3, 4)[:, 1:, ::3],
    "a parameter": torch.nn.Parameter(torch.randn(2, 2)),
}
TIED = torch.randn(6)
NUMBERS |= {"tied": TIED, "tied too": TIED, "tied and seen otherwise": TIED.view(2, 3)[1]}
PLAIN = {name: tensor.detach() for name, tensor in NUMBERS.items()}


@pytest.mark.parametrize(
    ("form", "protocol"),
    [("archive", 2), ("archive", 5), ("row", 3), ("pickle", 2), ("pickle", 5)],
)
def test_every_tensor_keeps_its_bits(tmp_path, form, protocol):
    path = tmp_path / "net.pt"
    if form == "pickle":
        path.write_bytes(pickle.dumps(NUMBERS, protocol))
    else:
        torch.save(NUMBERS, path, _use_new_zipfile_serialization=form == "archive", pickle_protocol=protocol)
    same(path, PLAIN)


def trained():
    """A network, what its optimizer keeps, and the weights of both kinds."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(Linear(3, 4), torch.nn.BatchNorm1d(4), Linear(4, 2))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    raw = network.state_dict()
    return network, optimizer, raw, {name: tensor + 1 for name, tensor in raw.items()}


OPTIMIZER = trained()[1].state_dict()


def test_of_a_lightning_checkpoint_the_weights_are_kept(tmp_path):
    _, optimizer, raw, _ = trained()
    checkpoint = {
        "epoch": 3,
        "global_step": 1000,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": {f"model.{name}": tensor for name, tensor in raw.items()},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5), "kth_value": None}},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"_last_lr": [0.1], "milestones": {1, 2}}],
        "hyper_parameters": {"betas": (0.9, 0.95), "rate": np.float64(0.1), "shape": torch.Size([3])},
    }
    torch.save(checkpoint, tmp_path / "epoch=3.ckpt")
    same(tmp_path / "epoch=3.ckpt", checkpoint["state_dict"])
    said = (tmp_path / "epoch=3.card.txt").read_text(encoding="utf-8")
    assert "kept: state_dict (9 tensors)" in said
    for line in ("optimizer_states: list of 1", "epoch: 3", "loops: dict of 1", "(1 tensor)", "licence: not stated"):
        assert line in said


def test_an_average_goes_before_the_raw_weights_unless_they_are_wanted(tmp_path):
    _, optimizer, raw, averaged = trained()
    path = tmp_path / "0400000.pt"
    arguments = argparse.Namespace(model="DiT-XL/2", lr=1e-4, size=(256, 256))
    torch.save({"model": raw, "ema": averaged, "opt": optimizer.state_dict(), "args": arguments}, path)
    same(path, averaged)
    said = (tmp_path / "0400000.card.txt").read_text(encoding="utf-8")
    assert "kept: ema (9 tensors, an average of the weights)" in said
    assert "dropped: model (9 tensors); opt: dict of 2; args: argparse.Namespace" in said
    tensors, _ = read_safetensors(convert(path, weights="model", force=True)[0])
    assert all(torch.equal(tensors[name], raw[name]) for name in raw)


NO_TABLE = ([torch.zeros(1)], {}, 3, {1: torch.zeros(2)}, torch.zeros(3), OPTIMIZER)
ODD = (torch.zeros(2).to_sparse(), torch.zeros(2, dtype=torch.complex64), torch.zeros(2, device="meta"))
REFUSED = [(held, "it holds no table of tensors") for held in NO_TABLE]
REFUSED += [({"w": torch.zeros(2), "odd": odd}, None) for odd in ODD]
REFUSED += [({name: torch.zeros(2)}, "holds a tensor called") for name in ("__metadata__", "", "x" * 501)]


@pytest.mark.parametrize(("held", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_no_safetensors_file_may_hold_is_refused(tmp_path, held, words):
    torch.save(held, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", words)


def test_tables_that_are_alike_must_be_named(tmp_path):
    path = tmp_path / "gan.pt"
    torch.save({"generator": {"w": torch.zeros(1)}, "critic": {"w": torch.ones(1)}}, path)
    refused(path, r"several tables of tensors: generator \(1 tensor\); critic \(1 tensor\)\. Say which with --weights")
    with pytest.raises(ValueError, match=r"no weights called 'judge'\. It has generator"):
        convert(path, weights="judge")
    tensors, _ = read_safetensors(convert(path, weights="critic")[0])
    assert tensors["w"] == 1


@pytest.mark.parametrize("archived", [True, False])
def test_a_network_saved_whole_has_the_names_of_its_state_dict(tmp_path, archived):
    network, _, raw, _ = trained()
    network.register_buffer("fleeting", torch.zeros(2), persistent=False)
    torch.save(network, tmp_path / "net.pt", _use_new_zipfile_serialization=archived)
    if archived:
        assert "fleeting" not in same(tmp_path / "net.pt", raw)
    else:
        refused(tmp_path / "net.pt", "outside itself")  # it has the source of the classes beside it


PERSISTENCE = """
def persistent_class(kind):
    class Decorated(kind):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self._init_args, self._init_kwargs = args, kwargs
        def __reduce__(self):
            meta = dict(type="class", version=6, module_src=SOURCE, class_name=kind.__name__, state=self.__dict__)
            return _reconstruct_persistent_obj, (meta,), None
    Decorated.__name__ = Decorated.__qualname__ = kind.__name__
    return Decorated

SOURCE = ""

def _reconstruct_persistent_obj(meta):
    exec(meta["module_src"], {})
"""
MAKE = """
import pickle, sys, torch
from torch.nn import Linear
from torch_utils import persistence
import dnnlib.util
persistence.SOURCE = f"open({sys.argv[2]!r}, 'w').close()"

@persistence.persistent_class
class Layer(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(width, 3).half())
        self.register_buffer("filter", torch.ones(2, 2))
        self.register_buffer("fleeting", torch.ones(2, 2), persistent=False)
        self.register_buffer("none", None)

@persistence.persistent_class
class Precond(torch.nn.Module):
    def __init__(self, img_resolution, label_dim, sigma_data, model_type):
        super().__init__()
        self.img_resolution, self.label_dim, self.sigma_data = img_resolution, label_dim, sigma_data
        self.sigma_max = float("inf")
        layers = torch.nn.ModuleList([Layer(2), Linear(2, 2)])
        self.model = torch.nn.ModuleDict({"32x32_conv": Layer(4), "layers": layers})

torch.manual_seed(0)
network = Precond(32, 10, sigma_data=0.5, model_type="SongUNet").eval().requires_grad_(False)
torch.save(network.state_dict(), sys.argv[1] + ".state")
made = dict(ema=network, augment_pipe=None, dataset_kwargs=dnnlib.util.EasyDict(path="x", use_labels=True))
with open(sys.argv[1], "wb") as file:
    pickle.dump(made, file)
"""


def test_a_pickled_network_of_edm_is_read_and_its_source_never_run(tmp_path):
    """It imports modules of EDM, and has a source text that makes a canary."""
    for module, content in (
        ("torch_utils/persistence.py", PERSISTENCE),
        ("dnnlib/util.py", "class EasyDict(dict): pass"),
        ("make.py", MAKE),
    ):
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text(content, encoding="utf-8")
    path, canary = tmp_path / "edm.pkl", tmp_path / "canary"
    subprocess.run([sys.executable, "make.py", path, canary], cwd=tmp_path, check=True, timeout=120)
    wanted = torch.load(tmp_path / "edm.pkl.state", weights_only=True)
    usual = [sys.executable, "-c", USUAL_READER, path]
    subprocess.run(usual, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True, timeout=120)
    assert canary.exists(), "the source in the file is no live program"
    canary.unlink()
    same(path, wanted)
    assert not canary.exists()
    _, metadata = read_safetensors(path.with_suffix(".safetensors"))
    said = json.loads(metadata["gg.settings"])
    assert said.pop("class") == "Precond"
    assert said == {"img_resolution": 32, "label_dim": 10, "model_type": "SongUNet", "sigma_data": 0.5}
    assert "source text of Precond" in metadata["gg.dropped"]
    assert "dataset_kwargs: dict of 2" in metadata["gg.dropped"]
    assert metadata["gg.kept"] == "ema (6 tensors, an average of the weights)"


def test_modules_in_modules_without_end_are_refused_at_once(tmp_path):
    network, began = torch.nn.Identity(), time.process_time()
    for _ in range(40):
        network = torch.nn.Sequential(network, network)
    torch.save(network, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "holds modules in modules")
    assert time.process_time() - began < 10


def test_what_is_known_is_recognised_and_loads(tmp_path):
    torch.save({"state_dict": AdmClassifier(SIZES[0], 3, 64).state_dict(), "epoch": 3}, tmp_path / "adm.pt")
    said = statements(["schedule=linear", 'labels=["a", "b", "c"]'])
    path, card = convert(tmp_path / "adm.pt", claims=said, licence="MIT")
    guide = open_as(path, NoisyClassifier)
    assert isinstance(guide.enter, AdmEntrance)
    assert (guide.enter.schedule, guide.labels) == ("linear", ("a", "b", "c"))
    assert "recognised: classifier AdmClassifier, 3 labels." in card.read_text(encoding="utf-8")
    torch.save({"ema": tiny_weights(), "step": 7}, tmp_path / "tiny.ckpt")
    path, card = convert(tmp_path / "tiny.ckpt")
    assert "recognised: denoiser Pocket, 4 labels, " in card.read_text(encoding="utf-8")
    assert read_denoiser(path).spec.format.name == "pocket-unet-1"
    for pairs in (["colour=red"], ["schedule"]):
        with pytest.raises(ValueError, match="--say takes KEY=VALUE"):
            statements(pairs)


@pytest.mark.parametrize("name", ["edm ncsnpp", "dit"])
def test_weights_that_claim_any_size_are_written_and_take_no_memory(tmp_path, name, capsys):
    weights = transformer_weights(name) if name == "dit" else NETWORKS[name]()
    changed = next(key for key, weight in weights.items() if weight.ndim > 1)
    for shape in ((2**40, 0), ()):
        torch.save(weights | {changed: torch.zeros(shape)}, tmp_path / "net.pt")
        assert main([str(tmp_path / "net.pt"), "--force", "--licence", "MIT"]) == 0
        said = capsys.readouterr().out
        assert "recognised: unknown. As a denoiser: net.safetensors" in said


def test_a_card_has_one_line_for_each_fact_whatever_the_file_says(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(
        {"ema": {"w": torch.zeros(1)}, "x\nlicence: MIT\n": "y\nlicence: MIT", **dict.fromkeys(map(str, range(99)), 0)},
        path,
    )
    card = convert(path, licence="none")[1].read_text(encoding="utf-8")
    assert [line for line in card.splitlines() if line.startswith("licence")] == ["licence: none"]
    assert "and 60 more" in card


def test_nothing_is_overwritten_unless_that_is_said_and_never_the_source(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"w": torch.zeros(2)}, path)
    target, card = convert(path)
    for place in (target, card):
        (target if place is card else card).unlink()
        before = place.read_bytes()
        with pytest.raises(ValueError, match=r"exists\. Move it away"):
            convert(path)
        assert place.read_bytes() == before
        convert(path, force=True)
    with pytest.raises(ValueError, match=r"net\.pt would be written over itself"):
        convert(path, path, force=True)


SPECIAL = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to a device": lambda path: path.symlink_to("/dev/null"),
    "a link to a folder": lambda path: path.symlink_to(path.parent),
}


@pytest.mark.parametrize(("kind", "ending"), zip(SPECIAL, cycle(["safetensors", "card.txt"]), strict=False))
def test_what_is_no_regular_file_is_never_written_over(tmp_path, kind, ending):
    place = tmp_path / f"net.{ending}"
    SPECIAL[kind](place)
    before = place.lstat()
    (tmp_path / "net.pt").write_bytes(b"nothing of this is read")
    with pytest.raises(NotWritten, match=r"(A folder|Something other than a file) has that name"):
        convert(tmp_path / "net.pt", force=True)
    assert (place.lstat().st_ino, place.lstat().st_mode) == (before.st_ino, before.st_mode)


def test_the_command_prints_the_card_or_one_sentence(tmp_path, capsys):
    torch.save({"w": torch.zeros(2)}, tmp_path / "net.pt")
    assert main([str(tmp_path / "net.pt"), "--licence", "MIT"]) == 0
    assert "licence: MIT\n" in capsys.readouterr().out
    net, none = str(tmp_path / "net.pt"), str(tmp_path / "none.pt")
    for words in ([net], [none], [net, "--say", "colour=red"]):
        assert main([*words, "--licence", "MIT"]) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_a_deep_network_of_small_tensors_is_no_bomb(tmp_path):
    network = torch.nn.Sequential(*(torch.nn.Sequential(Linear(4, 4), torch.nn.BatchNorm1d(4)) for _ in range(200)))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.randn(3, 4)).sum().backward()
    optimizer.step()
    held = {"model": network.state_dict(), "opt": optimizer.state_dict()}
    (tmp_path / "deep.pt").write_bytes(pickle.dumps(held, 2))
    same(tmp_path / "deep.pt", held["model"])


def test_bytes_behind_the_last_number_of_a_storage_are_not_read():
    storage = Storage("U8", 10)
    storage.fill(memoryview(b"abcdefgh??"))
    for shape, strides, wanted in (((2,), (1,), b"abcdefgh"), ((2, 1), (0, 1), b"abcdabcd"), ((1,), (9,), b"abcd")):
        part = view(storage, 0, shape, strides, None, None, record_class("torch.float32"))
        assert b"".join(numbers_of(part)) == wanted


def test_a_large_archive_says_its_places_in_eight_bytes(tmp_path, monkeypatch):
    """As torch.save does from 4 GB on."""
    torch.save(weights := {"w": torch.randn(3, 4), "b": torch.randn(5)}, tmp_path / "net.pt")
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 0)
    with zipfile.ZipFile(tmp_path / "net.pt") as source, zipfile.ZipFile(tmp_path / "large.pt", "w") as large:
        for name in source.namelist():
            large.writestr(name, source.read(name))
    assert b"PK\x06\x06" in (tmp_path / "large.pt").read_bytes(), "the directory of such an archive"
    same(tmp_path / "large.pt", weights)
