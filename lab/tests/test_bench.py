"""Every measurement can still be started: the code that it measures has moved on since it was last run."""

import importlib
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "lab" / "bench"


@pytest.mark.parametrize("name", sorted(file.stem for file in BENCH.glob("*.py")))
def test_a_measurement_starts(name):
    assert callable(importlib.import_module(f"guidance_geometry.lab.bench.{name}").main)


def test_the_page_of_the_exact_toy_is_what_it_prints(tmp_path, capsys, monkeypatch):
    bench = importlib.import_module("guidance_geometry.lab.bench.exact_toy")
    page = tmp_path / "page.md"
    monkeypatch.setattr(bench, "GAMMAS", (1.0,))
    monkeypatch.setattr(bench, "STEPS", (4, 8))
    monkeypatch.setattr("sys.argv", ["exact_toy", "--samples", "50", "--page", str(page)])
    assert bench.main() == 0
    words = page.read_text(encoding="utf-8")
    assert words in capsys.readouterr().out
    errors = [
        float(line.split("|")[2]) for line in words.splitlines() if line.startswith(("| noisy x_t, ", "| Jacobian"))
    ]
    assert len(errors) == 6
    assert max(errors) <= 1e-9


def test_the_operations_of_an_evaluation_and_of_the_sums_are_those_of_their_formulas(host):
    import torch

    bench = importlib.import_module("guidance_geometry.lab.bench.gram")
    latent, words, (width, inner, depth) = (16, 3, 8, 10), (7, 40), (96, 128, 2)
    model = {"dim": width, "ffn_dim": inner, "num_heads": 2, "num_layers": depth}
    tokens = 3 * 4 * 5
    itself = 8 * tokens * width**2 + 4 * tokens**2 * width
    text = 4 * tokens * width**2 + 4 * words[0] * width**2 + 4 * tokens * words[0] * width
    layer = itself + text + 4 * tokens * width * inner
    ends = 2 * tokens * width * (64 + 64) + 2 * words[0] * (words[1] * width + width**2)
    times = 2 * (256 * width + width**2 + 6 * width**2)
    with torch.inference_mode():
        found = bench.flops(bench.evaluation(latent, model, words))
        assert found == pytest.approx(depth * layer + ends + times, rel=1e-3)
        assert bench.flops(bench.sums(latent)) == 2 * 6 * 11 * 16 * 3 * 8 * 10
    assert bench.speed(64) > 0


def test_recording_is_measured_on_the_architectures_that_are_named(host, monkeypatch, capsys):
    bench = importlib.import_module("guidance_geometry.lab.bench.sampler_overhead")
    for name in ("keep_freed_memory", "enter_host"):
        monkeypatch.setattr(bench, name, lambda *_: None)
    monkeypatch.setattr(bench.torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(bench, "FAMILY_LIMITS", {"numbers": 1e9, "pictures": 0.0})
    monkeypatch.setattr("sys.argv", ["sampler_overhead", "--families", "SiT", "--pairs", "2", "--steps", "2"])
    assert bench.main() == 1, "one of the limits cannot hold"
    first, numbers, pictures = capsys.readouterr().out.splitlines()[-3:]
    assert first.startswith("SiT, batch 2, ")
    assert numbers.endswith("limit 1000000000.00)")
    assert pictures.endswith("limit 0.00)  above the limit")
