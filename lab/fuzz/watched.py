"""A host under watch: every prompt is timed, its memory measured, and a host that is ill is replaced by a fresh one."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ...dev.hosts import HostFolder
from ...sweeps.comfyui.process import DIRECT, Server

TRIVIAL = {
    "1": {"class_type": "PrimitiveInt", "inputs": {"value": 0}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}
PANELS = {"GGInspector": "/guidance_geometry/runs/{job}/{node}"}  # what a panel of this node asks for
FAILED = 500  # the least status of an answer that failed
FATAL = "Exception in thread"  # what Python prints when a thread ends by an exception
LOOK, SELDOM = 0.01, 0.2  # seconds between two looks at a prompt, at first and at most


@dataclass(frozen=True)
class Limits:
    """seconds: of a prompt. growth: bytes that the process may take during a prompt beyond what it had before.
    patience: seconds for an interrupt to work, and for the next prompt to be taken.
    """

    seconds: float = 60.0
    growth: int = 2 << 30
    patience: float = 20.0


@dataclass
class Observed:
    """What came of one prompt.

    refusal: the host's answer where it took nothing. complaints: its complaints about some nodes where it took others.
    messages: (type, data) of the run, empty where it never ended. status: of the answer. has_ended: whether the prompt
    ended by itself. healthy: whether the host takes the next one. silence: an address that the host failed to answer
    afterwards. output: what it printed where it is not healthy or did not answer.
    """

    status: int = 0
    refusal: dict[str, Any] = field(default_factory=dict)
    complaints: dict[str, Any] = field(default_factory=dict)
    messages: list[tuple[str, dict]] = field(default_factory=list)
    seconds: float = 0.0
    growth: int = 0
    has_ended: bool = True
    healthy: bool = True
    silence: str = ""
    output: str = ""

    @property
    def error(self) -> dict[str, Any]:
        """The host's report of the node that failed, empty where none did."""
        return next((data for kind, data in self.messages if kind == "execution_error"), {})


class Watched(HostFolder):
    """A host that lives as long as it is healthy. Use `watched`."""

    def __init__(self, place: Path, host: Path, limits: Limits):
        super().__init__(place, host, cpu=True)
        self.limits = limits
        self._stack = ExitStack()
        self._live: Server | None = None

    @property
    def live(self) -> Server:
        """The host, started where none lives."""
        if self._live is None:
            self._live = self._stack.enter_context(self.start())
            self._process = psutil.Process(self._live.process.pid)
        return self._live

    def close(self) -> None:
        """End the host."""
        self._live = None
        self._stack.close()

    def get(self, path: str) -> Any:
        """A JSON answer of the host."""
        with DIRECT.open(self.live.address + path, timeout=30) as answer:
            return json.load(answer)

    def run(self, prompt: Mapping[str, Any]) -> Observed:
        """Queue a prompt and watch it to its end; an ill host is ended."""
        found = Observed()
        live, began, before = self.live, time.monotonic(), self._bytes()
        printed = live.log.stat().st_size
        self._submit(prompt, found, before)
        if not found.has_ended:
            found.healthy = found.growth <= self.limits.growth and not self._is_fatal(printed) and self._recovers()
        found.seconds = time.monotonic() - began
        if not found.healthy or found.silence:
            found.output = self._printed_since(printed)
        if not found.healthy:
            self.close()
        return found

    def _submit(self, prompt: Mapping[str, Any], found: Observed, before: int) -> None:
        try:
            answer = self._post("/prompt", {"prompt": prompt})
        except urllib.error.HTTPError as error:
            found.status, text = error.code, error.read()
            with contextlib.suppress(ValueError):
                found.refusal = json.loads(text)
            return
        except OSError:
            found.has_ended = False
            return
        found.status, found.complaints = 200, answer.get("node_errors") or {}
        self._follow(answer["prompt_id"], found, before)
        if found.has_ended:
            found.silence = self._first_silence(answer["prompt_id"], prompt)

    def _first_silence(self, prompt_id: str, prompt: Mapping[str, Any]) -> str:
        """Ask what a panel in the editor asks after a run; the first address that fails, with its status."""
        panels = (
            (node, PANELS[facts["class_type"]]) for node, facts in prompt.items() if facts["class_type"] in PANELS
        )
        answers = ((path, self._status(path.format(job=prompt_id, node=node))) for node, path in panels)
        return next((f"{path}: {status}" for path, status in answers if status >= FAILED), "")

    def _status(self, path: str) -> int:
        try:
            with DIRECT.open(self.live.address + path, timeout=self.limits.seconds) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return FAILED

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        content = json.dumps(body).encode()
        request = urllib.request.Request(self.live.address + path, content, {"Content-Type": "application/json"})
        with DIRECT.open(request, timeout=self.limits.seconds) as answer:
            return json.loads(answer.read() or b"{}")

    def _follow(self, prompt_id: str, found: Observed, before: int) -> None:
        """Look until the prompt is in the history, or something is wrong."""
        end, pause = time.monotonic() + self.limits.seconds, LOOK
        printed = self.live.log.stat().st_size
        while time.monotonic() < end:
            found.growth = max(found.growth, self._bytes() - before)
            found.messages = self._messages(prompt_id)
            if found.messages or found.growth > self.limits.growth or self._is_fatal(printed):
                break
            time.sleep(pause)
            pause = min(1.2 * pause, SELDOM)
        found.has_ended = bool(found.messages)

    def _messages(self, prompt_id: str) -> list[tuple[str, dict]]:
        try:
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
        except (OSError, ValueError):
            return []
        return [tuple(message) for message in entry["status"]["messages"]] if entry else []

    def _bytes(self) -> int:
        with contextlib.suppress(psutil.Error):
            return self._process.memory_info().rss
        return 0

    def _is_fatal(self, since: int) -> bool:
        """Whether the process, or the thread that works, has ended."""
        return self.live.process.poll() is not None or FATAL in self._printed_since(since)

    def _printed_since(self, start: int) -> str:
        with self.live.log.open("rb") as log:
            log.seek(start)
            return log.read().decode("utf-8", "replace")

    def _recovers(self) -> bool:
        """Interrupt what runs, and see whether another prompt is taken."""
        with contextlib.suppress(OSError):
            self._post("/interrupt", {})
            prompt_id = self._post("/prompt", {"prompt": TRIVIAL})["prompt_id"]
            end = time.monotonic() + self.limits.patience
            while time.monotonic() < end:
                if self._messages(prompt_id):
                    return True
                time.sleep(SELDOM)
        return False


@contextmanager
def watch_host(place: Path, host: Path, limits: Limits) -> Iterator[Watched]:
    """A watched host in a folder of its own."""
    one = Watched(place, host, limits)
    try:
        yield one
    finally:
        one.close()
