"""A ComfyUI that is started as a child process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guidance_geometry.sweeps.comfyui import process

TELLS_ITS_WORDS = """
import http.server, json, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(sys.argv[1:]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


@pytest.fixture
def comfyui(tmp_path):
    """A folder that looks like a ComfyUI, and answers with the words by which it was called."""
    place = tmp_path / "ComfyUI"
    for name in ("comfy", "custom_nodes"):
        (place / name).mkdir(parents=True)
    (place / "main.py").write_text(TELLS_ITS_WORDS, encoding="ascii")
    return place


def words_of(server):
    with process.DIRECT.open(server.address + "/system_stats", timeout=30) as answer:
        return json.load(answer)


def behind(words, option):
    return words[words.index(option) + 1]


def test_a_comfyui_without_the_pack_is_lent_this_one_and_leaves_nothing(comfyui):
    with process.start_comfyui(comfyui, cpu=True) as server:
        words = words_of(server)
        paths = json.loads(Path(behind(words, "--extra-model-paths-config")).read_text(encoding="utf-8"))
        lent = Path(paths[process.PACK]["custom_nodes"]) / process.PACK
        assert (lent.resolve(), "--cpu" in words) == (process.ROOT, True)
        base = Path(behind(words, "--temp-directory"))
        assert base in lent.parents
    assert (server.process.poll() is None, base.exists(), (process.ROOT / "nodes").is_dir()) == (False, False, True)
    assert not any((comfyui / "custom_nodes").iterdir())


def test_a_host_that_never_answers_is_given_up_with_its_log(tmp_path):
    log = tmp_path / "host.log"
    log.write_text("still loading\n", encoding="ascii")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        silent = process.Server(f"http://127.0.0.1:{process.free_port()}", child, log, "pack")
        with pytest.raises(process.StartError, match=r"(?s)did not answer within 1 s.*still loading.*What to try"):
            process.wait_until_up(silent, 1.0)
        assert child.poll() is None, "whoever started it ends it"
    finally:
        process.end(child)


@pytest.mark.skipif(os.name == "nt", reason="the programs of this test are scripts of a shell")
@pytest.mark.parametrize(
    ("tool", "torch_sees", "options"), [("nvidia-smi", True, []), ("rocm-smi", False, ["--cpu"]), ("", True, ["--cpu"])]
)
def test_a_host_computes_on_a_gpu_that_has_its_tool_and_that_torch_sees(
    tmp_path, monkeypatch, tool, torch_sees, options
):
    def program(name, code):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
        return tmp_path / name

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    python = program("python", int(not torch_sees))
    if tool:
        program(tool, 0)
    assert process.device_options(python) == options


def test_a_host_that_shares_nothing_has_its_folders_and_the_pack_in_one_place(tmp_path):
    base = tmp_path / "host"
    options, name = process.own_folders(base)
    assert (base / "custom_nodes" / name).resolve() == process.ROOT
    assert behind(options, "--base-directory") == str(base)
    assert behind(options, "--database-url").startswith(f"sqlite:///{base.as_posix()}/")
    assert {one.name for one in base.iterdir()} == {"custom_nodes", "input", "output", "temp", "user", "models"}
    assert process.own_folders(base) == (options, name), "what is there is taken"
