"""A host under watch: every prompt is timed, its memory measured, and a host that is ill is replaced by a fresh one."""

import json
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from typing import Any

import psutil

from guidance_geometry.dev.hosts import HostFolder
from guidance_geometry.sweeps.comfyui.process import DIRECT

from .catalogue import NodeKind, catalogue_of
from .graphs import seeds
from .verdicts import CIRCLE, DEAD, HOST, MEMORY, OK, REFUSED, SLOW, Verdict, verdict_of_error

MOST_SECONDS, MOST_BYTES = 60.0, 2 << 30  # of computing, and of memory, for a prompt
HANGING = 300.0  # seconds until a prompt that only waits is late
FATAL = "Exception in thread"  # what Python prints when a thread ends by an exception
LOOK, SELDOM = 0.01, 0.2  # seconds between two looks at a prompt, at first and at most
TRIVIAL = {
    "1": {"class_type": "PrimitiveInt", "inputs": {"value": 0}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}


class Watched(HostFolder):
    """A host that lives as long as it is healthy.  catalogue: its nodes. graphs: small ones that run, by name"""

    def __init__(self, place, host):
        super().__init__(place, host, cpu=True)
        self.catalogue: dict[str, NodeKind] = {}
        self.graphs: dict[str, dict] = {}
        self.stack, self.alive = ExitStack(), None

    @property
    def live(self):
        """The host, started where none lives."""
        if self.alive is None:
            self.alive = self.stack.enter_context(self.start())
            self.process = psutil.Process(self.alive.process.pid)
        return self.alive

    def close(self):
        """End the host."""
        self.alive = None
        self.stack.close()

    def ask(self, path: str, body: Any = None, method: str | None = None) -> tuple[int, bytes]:
        """Status and content of an answer.  body: bytes, or what is sent as JSON.  Raises OSError for none in time"""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.live.address + path, content, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with DIRECT.open(request, timeout=HANGING) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def read_catalogue(self):
        """Ask which nodes there are, with the names of files that they list now."""
        self.catalogue = catalogue_of(json.loads(self.ask("/object_info")[1]), self.pack)
        self.graphs = seeds(self.catalogue)

    def run(self, prompt) -> Verdict:
        """Queue a prompt, watch it to its end, and judge it; an ill host is ended, and the next call starts another."""
        state = self.state()
        try:
            status, content = self.ask("/prompt", {"prompt": prompt})
        except OSError:
            return self._illness(*state)
        answer = json.loads(content) if content[:1] == b"{" else {}
        if fault := self._fault_of_validation(answer.get("node_errors") or {}):
            return fault
        if status != 200:
            return Verdict(REFUSED if status == 400 else HOST, f"{status}")
        messages = self.follow(answer["prompt_id"], *state)
        if not messages or self.is_ill(*state):
            return self._illness(*state)
        if error := next((data for kind, data in messages if kind == "execution_error"), None):
            return self.judge_error(error)
        return Verdict(OK if not answer.get("node_errors") else REFUSED, "in part")

    def judge_error(self, error) -> Verdict:
        """The verdict on what a node raised."""
        kind = self.catalogue.get(error["node_type"])
        return verdict_of_error(error, self.place / "custom_nodes" / self.pack, kind is not None and kind.ours)

    def follow(self, prompt_id: str, printed: int, before: int) -> list:
        """The messages of a prompt when it has ended; none where it has not, and something is wrong."""
        end, pause, computed = time.monotonic() + HANGING, LOOK, self.seconds()
        while time.monotonic() < end and self.seconds() - computed < MOST_SECONDS and not self.is_ill(printed, before):
            if messages := self.messages(prompt_id):
                return messages
            time.sleep(pause)
            pause = min(1.2 * pause, SELDOM)
        return []

    def messages(self, prompt_id: str) -> list:
        """(type, data) of the run, as the history has them; none as long as it is not there."""
        with suppress(OSError, ValueError):
            _, content = self.ask(f"/history/{prompt_id}")
            return json.loads(content).get(prompt_id, {"status": {"messages": []}})["status"]["messages"]
        return []

    def seconds(self) -> float:
        """What the process has computed: on a busy machine that takes longer."""
        with suppress(psutil.Error):
            return sum(self.process.cpu_times()[:2])
        return 0.0

    def bytes(self) -> int:
        """Memory of the process."""
        with suppress(psutil.Error):
            return self.process.memory_info().rss
        return 0

    def state(self) -> tuple[int, int]:
        """What the host has printed and takes by now, in bytes: what `is_ill` compares with."""
        return self.live.log.stat().st_size, self.bytes()

    def is_ill(self, printed: int, before: int) -> bool:
        """Whether the process, or the thread that works, has ended, or it has taken too much memory."""
        gone = self.live.process.poll() is not None or FATAL in self.printed_since(printed)
        return gone or self.bytes() - before > MOST_BYTES

    def printed_since(self, start: int) -> str:
        """What the host has printed since its log had so many bytes."""
        with self.live.log.open("rb") as log:
            log.seek(start)
            return log.read().decode("utf-8", "replace")

    def _fault_of_validation(self, complaints) -> Verdict | None:
        """A fault of the pack while a prompt was validated; the host reports it as a refusal."""
        reasons = [(facts["class_type"], reason) for facts in complaints.values() for reason in facts["errors"]]
        for kind, reason in reasons:
            more = {"exception_type": CIRCLE} | reason.get("extra_info", {})
            if "traceback" in more and more["exception_type"] != CIRCLE:
                verdict = self.judge_error(more | {"node_type": kind, "exception_message": reason["details"]})
                if verdict.is_fault:
                    return verdict
        return None

    def _illness(self, printed: int, before: int) -> Verdict:
        """What is wrong with a host that did not end a prompt; it is ended."""
        grown, ill, said = self.bytes() - before, self.is_ill(printed, before), self.printed_since(printed)[-1000:]
        self.close()
        if grown > MOST_BYTES:
            return Verdict(MEMORY, f"{grown / 2**30:.1f} GB more")
        return Verdict(DEAD if ill else SLOW, said)
