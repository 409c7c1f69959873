import json
import math
import random
from dataclasses import replace

import pytest
import torch

from guidance_geometry.files.safetensors import read_safetensors, write_safetensors
from guidance_geometry.trace import metrics
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.file import CHECKSUM, HEADER, even_positions, fit_trace, load, save
from guidance_geometry.trace.gram import VECTORS
from guidance_geometry.trace.trace import Trace

from .ddpm_run import header, recorded


def same(first, second):
    return first.shape == second.shape and torch.equal(first.nan_to_num(7e77), second.nan_to_num(7e77))


def test_a_trace_is_read_back_as_it_was_saved(tmp_path):
    trace = recorded()
    written = save(trace, tmp_path / "run.safetensors")
    assert (written.steps, written.tensors) == (trace.steps, trace.tensors)
    found = load(tmp_path / "run.safetensors")
    assert found.header == written.header
    assert found.stage == trace.stage
    assert found.steps.keys() == trace.steps.keys()
    assert found.tensors.keys() == trace.tensors.keys()
    assert all(same(found.steps[name], trace.steps[name]) for name in trace.steps)
    assert all(torch.equal(found.tensors[name], trace.tensors[name]) for name in trace.tensors)
    assert found.tensors["x"].dtype == torch.float16


def test_the_file_is_what_the_format_says(tmp_path):
    save(recorded(), tmp_path / "run.safetensors")
    tensors, metadata = read_safetensors(tmp_path / "run.safetensors")
    assert metadata["gg.format"] == "guidance-geometry/trace"
    assert metadata["gg.version"] == "1"
    assert "workflow" not in json.loads(metadata["gg.header"])
    assert json.loads(metadata["workflow"]) == {"nodes": [1]}
    assert json.loads(metadata["prompt"]) == {"1": {"text": "gr\u00fcn"}}
    assert all(text.isascii() for text in metadata.values())
    assert tensors["steps.K"].shape == (6, 2, 21)
    assert tensors["steps.K"].dtype == torch.float64


def test_every_metric_is_a_column_and_tensors_are_found_by_step():
    trace = recorded()
    for metric in metrics.METRICS:
        column = trace.column(metric)
        assert column.shape == (6, 2), metric
        assert column.dtype == torch.float64, metric
    assert same(trace.column("M6"), trace.column("M6t"))
    expected = trace.record.dot("delta", "delta").sqrt() / 192**0.5
    assert (trace.column("M2") - expected).abs().max() < 1e-12
    medians = [sorted(trace.column("M1")[:, b].tolist()) for b in range(2)]
    assert torch.equal(trace.require_tensor("cond", 3), trace.tensors["cond"][3])
    assert trace.captured_tensor("cond", 17) is trace.captured_tensor("weak", 3) is None
    with pytest.raises(ValueError, match="keeps no weak of step 4"):
        trace.require_tensor("weak", 3)
    assert trace.pixels
    assert trace.middle_of("M1") == pytest.approx(sum(sum(one[2:4]) / 2 for one in medians) / 2)


def test_an_empty_run_is_a_trace(tmp_path):
    trace = recorded()
    empty = Trace(header(), {name: column[:0] for name, column in trace.steps.items()}, [], {})
    save(empty, tmp_path / "run.safetensors")
    found = load(tmp_path / "run.safetensors")
    assert found.n == 0
    assert found.batch == 2
    assert found.column("M1").shape == (0, 2)
    assert check(found) == []


@pytest.mark.parametrize("flow", [False, True], ids=["ve", "flow"])
def test_a_sound_record_has_no_problems(flow):
    assert check(recorded(flow=flow)) == []


def changed(trace, name, value, at=(2,)):
    column = trace.steps[name].clone()
    column[at] = value
    return replace(trace, steps={**trace.steps, name: column})


def test_a_step_that_does_not_add_up_is_a_problem():
    trace = changed(recorded(), "m12", 3e-3, (2, 1))
    (problem,) = check(trace)
    assert all(words in problem for words in ("step 3", "3.0e-03 sigma", "1e-04"))
    hidden = replace(trace, header={**trace.header, "split": "noise not observable: some reason"})
    assert check(hidden) == []


def test_inner_products_of_no_vectors_are_a_problem():
    trace = recorded()
    K = trace.steps["K"].clone()
    K[[1, 4], 0, 2] += 10 * K[[1, 4], 0, 0]
    (problem,) = check(replace(trace, steps={**trace.steps, "K": K}))
    assert "steps 2, 5 are not those of any set of vectors" in problem


def test_a_run_that_diverged_is_a_problem_but_a_skipped_pass_is_not():
    trace = changed(recorded(), "K", torch.nan, (3, 0))
    (problem,) = check(trace)
    assert "not finite at step 4" in problem
    stage = ["step"] * 3 + ["cond_only"] + ["step"] * 2
    noise_known = replace(trace, stage=stage, header={**trace.header, "sampler": "euler"})
    assert check(noise_known) == []


@pytest.mark.parametrize(("count", "kept", "expected"), [
    (5, 9, [0, 1, 2, 3, 4]), (5, 3, [0, 2, 4]), (20, 2, [0, 19]), (20, 1, []), (1, 1, [0]), (0, 4, []),
    (7, 4, [0, 2, 4, 6]),
])  # fmt: skip
def test_kept_steps_are_even_and_hold_the_first_and_last(count, kept, expected):
    assert even_positions(count, kept) == expected


@pytest.mark.parametrize("limit", [200_000, 60_000, 24_000, 18_000])
def test_whatever_fits_is_kept(tmp_path, limit):
    trace = recorded(size=32)
    found = fit_trace(trace, limit)
    save(found, tmp_path / "run.safetensors")
    assert (tmp_path / "run.safetensors").stat().st_size <= limit
    assert found.steps is trace.steps
    assert ("end" in found.tensors) or not found.captured_steps
    note = found.header["capture"]["note"]
    assert ("the end state too" in note) == ("end" not in found.tensors)


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"numbers of 6 steps and 2 samples need [\d,]+ bytes; a trace file holds 1,000"
    ):
        fit_trace(recorded(), 1000)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.safetensors"
    save(recorded(), path)
    before = path.read_bytes()
    broken = replace(recorded(), steps={**recorded().steps, "K": None})
    with pytest.raises(AttributeError):
        save(broken, path)
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        save(recorded(), tmp_path / "taken")
    assert path.read_bytes() == before
    assert sorted(found.name for found in tmp_path.iterdir()) == [path.name, "taken"]


def rewritten(tmp_path, change):
    """A saved trace whose tensors and metadata were changed in place."""
    path = tmp_path / "run.safetensors"
    save(recorded(), path)
    tensors, metadata = read_safetensors(path)
    del metadata[CHECKSUM]  # or nothing else would be told
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    facts = json.loads(before := metadata["gg.header"])
    change(tensors, metadata, facts)
    if metadata["gg.header"] == before:
        metadata["gg.header"] = json.dumps(facts)
    path.unlink()  # a trace gives way to no file of another kind, which a change may make of it
    write_safetensors(path, tensors, metadata)
    return path


def removed(*names):
    return lambda tensors, metadata, facts: [
        part.pop(name) for part in (tensors, facts) for name in names if name in part
    ]


BAD = {
    "newer": (lambda t, m, f: m.update({"gg.version": "2"}), "trace of version 2; this pack reads up to 1. Update"),
    "foreign": (lambda t, m, f: m.pop("gg.format"), "is a safetensors file but not a guidance trace"),
    "header text": (lambda t, m, f: m.update({"gg.header": "broken"}), "gg.header is not valid JSON"),
    "a vector twice": (lambda t, m, f: f["vectors"].__setitem__(0, "a"), "the header's vectors are not u, a, delta"),
    "odd stage": (lambda t, m, f: f.update(stage=["jump"] * 6), "is .jump.; one of step, skip, reuse"),
    "captured beyond": (
        lambda t, m, f: f["capture"].update(steps=[0, 99]),
        "capture.steps are not different steps of 6",
    ),
    "too many vectors": (lambda t, m, f: f["vectors"].append("weak"), "column 'K' is"),
    "no K": (removed("steps.K"), "column 'K' is None"),
    "short column": (lambda t, m, f: t.update({"steps.gamma": t["steps.gamma"][:3]}), "column 'gamma' is"),
    "no column": (removed("steps.m14"), "column 'm14' is None"),
    "captured shape": (lambda t, m, f: t.update({"tensors.x": t["tensors.x"][:2]}), "captured 'x' is"),
    "integers": (lambda t, m, f: t.update(extra=torch.zeros(1, dtype=torch.int64)), "is I64; F64, F16 are expected"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_a_bad_trace_is_refused_with_the_reason(tmp_path, change, message):
    path = rewritten(tmp_path, change)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith("run.safetensors")


def test_what_a_later_writer_adds_is_ignored(tmp_path):
    def added(tensors, metadata, facts):
        tensors["sketch.delta"] = torch.zeros(3, dtype=torch.float64)
        tensors["steps.m17"] = torch.zeros(6, 2, 4, dtype=torch.float64)
        facts["mood"] = "good"

    found = load(rewritten(tmp_path, added))
    assert found.header["mood"] == "good"
    assert found.steps["m17"].shape == (6, 2, 4)


def test_a_flipped_bit_anywhere_is_refused(tmp_path):
    path, dice = tmp_path / "run.safetensors", random.Random(1)
    save(recorded(), path)
    good = path.read_bytes()
    own = good.index(b"gg.sha256")  # a file without one is read
    for place in (*range(8), *(dice.randrange(len(good)) for _ in range(60)), len(good) - 1):
        data = bytearray(good)
        data[place] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        if not own <= place < own + 9:
            with pytest.raises(ValueError, match=r"run\.safetensors"):
                load(path)


def test_truncated_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    save(recorded(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="The download was cut off"):
        load(path)
    path.write_bytes(b"PK\x03\x04" + b"\0" * 100)
    with pytest.raises(ValueError, match="zip archive"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.safetensors")


def saved_and_loaded(tmp_path, facts):
    trace = replace(recorded(), tensors={}, header=header(**facts))
    save(trace, tmp_path / "run.safetensors")
    return load(tmp_path / "run.safetensors").header


OPTIONAL = [name for name in HEADER if not HEADER[name].required]
ODD = ["w" * 324, "w" * 20_001, 10**400, -(10**5000), math.nan, True, object(), ["w" * 300] * 3, {"a" * 300: "b" * 300}]


@pytest.mark.parametrize("name", OPTIONAL)
def test_whatever_save_accepts_load_reads(tmp_path, name):
    """Each field of the header, with values that are no good in most of them."""
    where, _, last = name.rpartition(".")
    for value in ODD:
        whole = {where: {**(header().get(where) or {}), last: value}} if where else {name: value}
        assert saved_and_loaded(tmp_path, whole)["vectors"] == list(VECTORS)


def test_a_workflow_too_deep_to_be_read_is_left_out_and_said(tmp_path):
    for depth, kept in ((62, True), (63, False), (200, False), (5000, False)):
        workflow = {}
        for _ in range(depth):
            workflow = {"in": workflow}
        found = saved_and_loaded(tmp_path, {"workflow": workflow})
        assert found.get("workflow") == workflow if kept else found.get("workflow") is None, depth
        assert found["notes"] == ([] if kept else ["left out of the file, which cannot hold it: workflow"])


def test_unknown_numbers_become_null_in_the_header(tmp_path):
    trace = replace(recorded(), header=header(cfg=float("nan"), sigmas=(1.0, float("inf"))), tensors={})
    save(trace, tmp_path / "run.safetensors")
    found = load(tmp_path / "run.safetensors").header
    assert found["cfg"] is None
    assert found["sigmas"] == [1.0, None]
