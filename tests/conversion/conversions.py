"""What the tests of the converter ask of every file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from guidance_geometry.conversion.convert import convert
from guidance_geometry.files.safetensors import read_safetensors

ROOT = Path(__file__).resolve().parents[2]
USUAL_READER = """
import json, pickle, sys, time
from pathlib import Path
import torch
for file in map(Path, sys.argv[1:]):
    try:
        pickle.loads(file.read_bytes()) if file.suffix == ".pkl" else torch.load(file, weights_only=False)
    except BaseException as error:
        print(file.name, type(error).__name__, str(error)[:200], file=sys.stderr)
"""


def refused(path, words=None):
    """The sentence with which a file is refused; nothing is written."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(ValueError, match=words) as caught:
        convert(path)
    assert sorted(path.parent.iterdir()) == before
    said = str(caught.value)
    assert said.startswith(path.name)
    assert len(said) < 700
    assert "\n" not in said
    return said


def same(path, wanted):
    """Whether a converted file holds exactly these tensors."""
    tensors, _ = read_safetensors(convert(path)[0])
    assert tensors.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].shape == tensor.shape
        assert bits(tensors[name]) == bits(tensor), name
    return tensors


def bits(tensor):
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


MEASURING_READER = """
import json, resource, signal, sys, time, tracemalloc
from pathlib import Path
from runpy import run_path

root, *files = sys.argv[1:]
run_path(str(Path(root) / "__main__.py"))["name_the_pack"]()
from guidance_geometry.conversion.convert import convert
import guidance_geometry.denoisers.reading

def late(*_):
    raise RuntimeError("it took too long")

there = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (there + (2 << 30),) * 2)
signal.signal(signal.SIGALRM, late)
for file in map(Path, files):
    signal.alarm(120)
    tracemalloc.start()
    began = time.process_time()
    try:
        target, card = convert(file, file.with_suffix(".out.safetensors"))
        kind, said = "read", card.read_text(encoding="utf-8")
        target.unlink(), card.unlink()
    except ValueError as error:
        kind, said = "refused", str(error)
    except BaseException as error:
        kind, said = "raw", f"{type(error).__name__}: {error}"
    signal.alarm(0)
    seconds, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    room = min(file.read_bytes().count(b"Storage\\n") * 12_288, 64 << 20)
    facts = {"room": room, "file": file.name, "kind": kind, "said": said[:1000], "seconds": seconds, "peak": peak}
    print(json.dumps(facts | {"size": file.stat().st_size}), flush=True)
"""


def measurements(files, folder):
    """What a process of its own makes of each file: read, refused or raw, with its words, CPU seconds and memory.

    The memory is what Python has at the peak beyond the file's own bytes; the process may have 2 GiB more than at its
    start. Nothing but the files may stand in the folder afterwards.
    """
    before = {*folder.rglob("*")}
    command = [sys.executable, "-c", MEASURING_READER, str(ROOT), *map(str, files)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=folder)
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(found) == len(files), ran.stderr[-2000:]
    assert {*folder.rglob("*")} == before
    return found


def complaints_about(facts):
    """What is wrong with a measured conversion, in words; nothing of one that is as it should be.

    Twice the file's size is allowed beyond its tensors; what stands around each storage counts as theirs.
    """
    most = max(2 * facts["size"], 2**22) + facts["room"]
    wrong = {
        "raw": facts["kind"] == "raw",
        "no sentence": facts["kind"] == "refused"
        and not (facts["said"].startswith(facts["file"]) and len(facts["said"]) < 700 and "\n" not in facts["said"]),
        f"{facts['seconds']:.1f} s": facts["seconds"] > 20,
        f"{facts['peak']:,} bytes of memory for {facts['size']:,}": facts["peak"] > most,
    }
    return [words for words, so in wrong.items() if so]
