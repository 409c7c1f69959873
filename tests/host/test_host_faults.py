"""The reports of docs/host-faults.md: every one still shows what it says of the host that is installed here."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import comfyui_version
import pytest
import torch

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "host-faults.md").read_text(encoding="utf-8")
REPORTS = re.findall(r"^## (.*?)\n.*?```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
[MEASURED] = re.findall(r"from ComfyUI ([\d.]+\d)", PAGE)[:1]


@pytest.mark.parametrize(("fault", "lines", "printed"), REPORTS, ids=[fault for fault, *_ in REPORTS])
def test_a_report_prints_what_stands_there(fault, lines, printed):
    if comfyui_version.__version__ != MEASURED:
        pytest.skip(f"measured on ComfyUI {MEASURED}, this is {comfyui_version.__version__}")
    assert sum(bool(line) for line in lines.splitlines()) <= 14, "short enough to be read at a glance"
    out = StringIO()
    with redirect_stdout(out), torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        exec(compile(lines, fault, "exec"), {"__name__": "fault"})  # noqa: S102
    assert out.getvalue() == printed
