"""The reports of docs/host-faults.md: every one still shows what it says of the host that is installed here."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import comfyui_version
import pytest
import torch

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "host-faults.md").read_text(encoding="utf-8")
REPORTS = [
    (fault, *one.groups())
    for fault, report in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    if (one := re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```\n\nSeen on ComfyUI (.*?)\.\n", report, re.DOTALL))
]
VERSION = comfyui_version.__version__


def test_every_report_has_lines_what_they_print_and_a_host():
    assert len(REPORTS) == len(re.findall(r"^## ", PAGE, re.MULTILINE)) >= 7


@pytest.mark.parametrize(("fault", "lines", "printed", "hosts"), REPORTS, ids=[fault for fault, *_ in REPORTS])
def test_a_report_prints_what_stands_there_on_a_host_that_has_the_fault(fault, lines, printed, hosts):
    seen, _, mended = (re.findall(r"[\d.]+\d", part) for part in hosts.partition("Mended"))
    if VERSION not in (*seen, *mended):
        pytest.skip(f"looked for on ComfyUI {', '.join((*seen, *mended))}, this is {VERSION}")
    assert sum(bool(line) for line in lines.splitlines()) <= 14, "short enough to be read at a glance"
    out = StringIO()
    with redirect_stdout(out), torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        exec(compile(lines, fault, "exec"), {"__name__": "fault"})  # noqa: S102
    assert (out.getvalue() == printed) == (VERSION in seen)
