"""What an earlier commit of this repository makes, by its own code: for tests that today's code still opens it all.

    python lab released 6027086

Takes the commit's files, starts a ComfyUI with them as its pack, and writes into tests/fixtures/released what is not
there yet: its templates and what they queue, a run of each of its rules, traces of every kind, a classifier that it
trained, and the folder of a sweep. The prompts that are there are run again, and it says what comes out otherwise.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ...dev.hosts import HostFolder
from ...dev.places import ROOT
from ...sweeps.comfyui.client import Client, JobError, RefusedError
from ..command_line import parser_of
from .catalogue import Catalogue, catalogue_of
from .graphs import Builder, Graph
from .mixed_jobs import content_of

FIXTURES = ROOT / "tests" / "fixtures" / "released"
WORKFLOWS, SWEEP, TRAINED = "workflows", "sweep", "trained_00001_.safetensors"
SAMPLER = {"steps": 4, "seed": 7, "cfg": 4.0, "capture": "numbers"}
KINDS = ("SaveImage", "GGSaveTrace")  # of what is kept of a prompt
LARGE = ("index.html", "sheet.png")  # of a sweep, and made again from the rest
SWEPT = ("--cfg", "2,4", "--rule", "cfg, APG", "--seeds", "2", "--set", "steps=4", "--set", "capture=numbers")


class EarlierHost(HostFolder):
    """A ComfyUI whose pack is another copy of this repository.  files: where that lies"""

    def __init__(self, place: Path, files: Path, host: Path):
        super().__init__(place, host, cpu=True)
        link = place / "custom_nodes" / self.pack
        link.unlink()
        link.symlink_to(files, target_is_directory=True)


def unpack(commit: str, place: Path) -> None:
    """Write the files of a commit into a folder."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(place, filter="data")


def rules_prompt(client: Client, catalogue: Catalogue) -> Graph:
    """A run with every rule of a pack, and its picture; a rule that needs what a small graph has not is left out."""
    whole: Graph = {}
    for kind in sorted(name for name, facts in catalogue.items() if facts.ours and "GG_GUIDANCE" in facts.outputs):
        builder = Builder(catalogue)
        rule = [builder.add(kind), catalogue[kind].outputs.index("GG_GUIDANCE")]
        run = builder.add("GGGuidedSampler", {"guidance": rule}, **SAMPLER)
        image = builder.add("VAEDecode", {"samples": [run, 0]})
        builder.add("SaveImage", {"images": [image, 0]}, filename_prefix=kind)
        single_sample(builder.graph)
        try:
            client.run(builder.graph)
        except (RefusedError, JobError) as error:
            print(f"  without {kind}: {error}")
        else:
            whole |= apart(builder.graph, f"rules-{kind}")
    return whole


def traces_prompt(_: Client, catalogue: Catalogue) -> Graph:
    """Runs whose traces hold pictures, tensors, a recorded sampler of the host, and one of its guiders."""
    builder = Builder(catalogue)
    captures = [SAMPLER | {"capture": what} for what in ("pictures", "tensors")]
    runs = [[builder.add("GGGuidedSampler", None, **values), 2] for values in captures]
    record = builder.add("GGRecord", capture="numbers")
    plain = {"steps": 4, "seed": 7, "sampler_name": "euler_ancestral"}
    sampled = builder.add("KSampler", {"model": [record, 0]}, **plain)
    runs.append([builder.add("GGReadTrace", {"recorder": [record, 1], "latent": [sampled, 0]}), 0])
    runs.append([builder.add("GGInspectedSampler", capture="numbers"), 2])
    for number, run in enumerate(runs):
        builder.add("GGSaveTrace", {"trace": run}, filename_prefix=f"kept{number}")
    return apart(single_sample(builder.graph, side=16), "traces-")


def classifier_prompt(catalogue: Catalogue) -> Graph:
    """A small classifier that is trained and written."""
    builder = Builder(catalogue)
    values = {"seed": 7, "steps": 40, "width": 8, "filename_prefix": TRAINED.partition("_")[0]}
    builder.add("GGTrainNoisyClassifier", None, ("latent",), **values)
    return builder.graph


def steered_prompt(_: Client, catalogue: Catalogue) -> Graph:
    """A run that this classifier guides, and its picture."""
    builder = Builder(catalogue, TRAINED)
    rule = [builder.add("GGClassifierGradient"), 0]
    image = builder.add("VAEDecode", {"samples": [builder.add("GGGuidedSampler", {"guidance": rule}, **SAMPLER), 0]})
    builder.add("SaveImage", {"images": [image, 0]})
    return apart(single_sample(builder.graph), "steered-")


def single_sample(graph: Graph, side: int = 32) -> Graph:
    """The same with one sample of this size, and a label that is there."""
    for node in graph.values():
        if node["class_type"] == "GGEmptyCanvas":
            node["inputs"] |= {"batch_size": 1, "width": side, "height": side}
        if node["class_type"] == "GGClassLabel":
            node["inputs"]["label"] = "robot"
    return graph


def apart(graph: Graph, name: str) -> Graph:
    """A graph whose nodes have a name before their numbers, beside others."""

    def moved(value: Any) -> Any:
        return [f"{name}{value[0]}", value[1]] if isinstance(value, list) else value

    return {
        f"{name}{node}": facts | {"inputs": {key: moved(value) for key, value in facts["inputs"].items()}}
        for node, facts in graph.items()
    }


def write_prompt(client: Client, folder: HostFolder, name: str, prompt: Graph, made: Path) -> None:
    """Run a prompt and keep it, with the picture and the trace of each of its nodes."""
    job = client.run(prompt)
    (made / f"{name}.json").write_text(json.dumps(prompt, indent=1) + "\n", encoding="utf-8")
    for node, facts in prompt.items():
        if facts["class_type"] in KINDS:
            kept = made / f"{name}-{node.partition('-')[2]}_00001_"
            output = job.outputs[node]
            if facts["class_type"] == "SaveImage":
                pixels = Image.open(io.BytesIO(client.file(output["images"][0])))
                pixels.info.clear()  # each has the whole prompt with it
                pixels.save(kept.with_name(f"{kept.name}.png"), optimize=True)
            else:
                saved = folder.place / "output" / "traces" / output["text"][0].partition(": ")[0]
                shutil.copy(saved, kept.with_name(f"{kept.name}.safetensors"))


def write_workflows(files: Path, made: Path) -> None:
    """Keep the templates of a commit, and what the editor has to queue for each."""
    made.mkdir()
    layouts = (files / "tools" / "templates").glob("*.json")
    prompts = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(layouts)}
    for file in sorted((files / "example_workflows").glob("*.json")):
        workflow = json.loads(file.read_text(encoding="utf-8"))
        types = {str(node["id"]): node["type"] for node in workflow["nodes"]}
        fitting = [prompt for prompt in prompts.values() if is_prompt_of(prompt, types)]
        (prompt,) = fitting
        kept = {"workflow": workflow, "prompt": prompt}
        (made / file.name).write_text(json.dumps(kept, separators=(",", ":")), encoding="utf-8")


def is_prompt_of(prompt: Mapping[str, Any], types: Mapping[str, str]) -> bool:
    """Whether all nodes that are queued stand in a workflow, and the workflow has no others but notes."""
    queued = {node: facts["class_type"] for node, facts in prompt.items()}
    return queued == {node: kind for node, kind in types.items() if kind not in ("Note", "MarkdownNote")}


def write_sweep(files: Path, address: str, made: Path, object_info: Mapping[str, Any]) -> None:
    """Have the commit's own command run a small sweep; keep its folder, and what the server says of its nodes."""
    tool = [sys.executable, files / "tools" / "run.py", "run_sweep", "--server", address, *SWEPT, "--output", made]
    subprocess.run(tool, cwd=files, check=True)
    plan = json.loads((made / "plan.json").read_text(encoding="utf-8"))
    named = {node["class_type"] for node in plan["workflow"].values()} | {"GGAdaptiveProjected"}
    kept = {name: object_info[name] for name in sorted(named)}
    (made / "object_info.json").write_text(json.dumps(kept), encoding="utf-8")
    for name in LARGE:
        (made / name).unlink()


def make(commit: str, made: Path, host: Path) -> None:
    """Write everything into a folder."""
    with tempfile.TemporaryDirectory(prefix="released-", ignore_cleanup_errors=True) as base:
        files, place = Path(base) / "files", Path(base) / "host"
        unpack(commit, files)
        place.mkdir()
        folder = EarlierHost(place, files, host)
        with folder.start() as server, Client(server.address) as client:
            told = json.loads(client.get("/object_info"))
            write_prompts(client, folder, catalogue_of(told, folder.pack), made)
            write_sweep(files, server.address, made / SWEEP, told)
        write_workflows(files, made / WORKFLOWS)


def write_prompts(client: Client, folder: HostFolder, catalogue: Catalogue, made: Path) -> None:
    """Train a classifier, run the prompts that are kept and those that are not yet, and keep what they make."""
    client.run(classifier_prompt(catalogue))
    shutil.copy(folder.place / "models" / "classifiers" / TRAINED, made)
    read = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FIXTURES.glob("*.json"))}
    prompts = {name: one for name, one in read.items() if all("class_type" in facts for facts in one.values())}
    makers = {"rules": rules_prompt, "traces": traces_prompt, "steered": steered_prompt}
    for name in [*prompts, *(makers.keys() - prompts)]:
        prompt = prompts[name] if name in prompts else makers[name](client, catalogue)
        write_prompt(client, folder, name, prompt, made)


def keep(made: Path) -> None:
    """Put what is new to the fixtures, and say what of the rest has other pixels, numbers or words."""
    same, other = 0, []
    for file in sorted(path for path in made.rglob("*") if path.is_file()):
        there = FIXTURES / file.relative_to(made)
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, there)
            print(f"new: {there.relative_to(ROOT)}, {there.stat().st_size:,} bytes")
        elif content_of(there) == content_of(file):
            same += 1
        else:
            other.append(there.name)
    print(f"the same in every pixel and number: {same} files; others: {', '.join(other) or 'none'}")


def main() -> int:
    """Make what is missing."""
    parser = parser_of(__doc__)
    parser.add_argument("commit", help="such as a tag")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # on a busy machine the host's threads would wait for each other
    with tempfile.TemporaryDirectory(prefix="released-") as made:
        make(options.commit, Path(made), options.host.resolve())
        keep(Path(made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
