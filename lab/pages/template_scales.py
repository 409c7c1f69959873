"""Which cfg the host's own templates use, by the file of weights that they load: `python lab template_scales`.

Writes verdict/template_scales.json. Of each template the samplers with a literal cfg count, inside subgraphs too. A
template that loads several files of weights does not say which of them a cfg is for: it counts only for files that no
template loads alone.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from ...dev.places import ROOT, address_of

PACKAGE = "comfyui-workflow-templates-json"
TARGET = ROOT / "verdict" / "template_scales.json"
LOADERS = ("CheckpointLoaderSimple", "UNETLoader", "ImageOnlyCheckpointLoader")
SCALES = {"KSampler": 3, "KSamplerAdvanced": 4, "CFGGuider": 0, "SamplerCustom": 3}  # place of cfg among the widgets
WEIGHTS = (".safetensors", ".ckpt", ".sft")
OF_THE_SUBGRAPH = -10  # stands for its inputs among the origins of its links
SILENT = (2, 4)  # muted, bypassed


def nodes_of(workflow: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The nodes of a workflow and of its subgraphs that run."""
    graphs = [workflow, *(workflow.get("definitions") or {}).get("subgraphs", [])]
    for graph in graphs:
        yield from (node for node in graph.get("nodes", []) if node.get("mode") not in SILENT)


def promoted_links(workflow: Mapping[str, Any]) -> set[int]:
    """Links from the inputs of a subgraph: the widget behind one keeps the value that the subgraph shows outside."""
    graphs = (workflow.get("definitions") or {}).get("subgraphs", [])
    links = [link for graph in graphs for link in graph.get("links", []) if isinstance(link, dict)]
    return {link["id"] for link in links if link.get("origin_id") == OF_THE_SUBGRAPH}


def facts_of(workflow: Mapping[str, Any]) -> tuple[set[str], set[float]]:
    """Files of weights that a template loads, and the cfg values of its samplers."""
    files, scales = set(), set()
    inner = promoted_links(workflow)
    for node in nodes_of(workflow):
        widgets = node.get("widgets_values")
        widgets = widgets if isinstance(widgets, list) else []
        if node.get("type") in LOADERS:
            files |= {Path(w).name for w in widgets if isinstance(w, str) and w.endswith(WEIGHTS)}
        place = SCALES.get(str(node.get("type")), len(widgets))
        cfg = widgets[place] if place < len(widgets) else None
        linked = any(i.get("name") == "cfg" and i.get("link") not in (None, *inner) for i in node.get("inputs") or [])
        if isinstance(cfg, int | float) and not isinstance(cfg, bool) and not linked:
            scales.add(float(cfg))
    distilled = any("Lora" in str(node.get("type")) for node in nodes_of(workflow))
    return files, scales - {1.0} if distilled else scales  # that cfg 1 is of the LoRA, not of the weights


def table_of(workflows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """{file: {"cfg": [...], "templates": count}} of all templates that have both."""
    pairs = [(files, scales) for files, scales in map(facts_of, workflows) if files and scales]
    alone = {file for files, _ in pairs if len(files) == 1 for file in files}
    found = defaultdict(list)
    for files, scales in pairs:
        for file in files if len(files) == 1 else files - alone:
            found[file].append(scales)
    return {f: {"cfg": sorted(set().union(*found[f])), "templates": len(found[f])} for f in sorted(found)}


def workflows(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Every JSON object below a folder that is a workflow."""
    for file in sorted(folder.rglob("*.json")):
        value = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(value, dict) and "nodes" in value:
            yield value


def main() -> None:
    """Write the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    folder = Path(str(import_module(PACKAGE.replace("-", "_")).__file__)).parent
    facts = {"command": address_of(Path(__file__)), "package": f"{PACKAGE} {metadata.version(PACKAGE)}"}
    table = {**facts, "files": table_of(workflows(folder))}
    TARGET.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(table['files'])} files of weights")


if __name__ == "__main__":
    main()
