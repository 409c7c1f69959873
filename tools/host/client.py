"""Talks to a running ComfyUI: queue a workflow in API form, follow it, read what it made.

The websocket is opened before a job is posted, so that no message is missed. Errors of a job are exceptions here.

Why not the official client: comfy-sdk 0.5.0 speaks API v2. ComfyUI 0.3.75 answers that with 405, so comfy-api-proxy
0.1.6 would have to run before every server. Tried with both, this is what sweeps, studies and benches would lose:

- Extra data: anything but an API key is refused (400), so no job can ask for its runs to be recorded.
- This pack's messages, live steps and finished runs. Progress comes at most twice a second.
- Refusals of a part: where the server accepts the other nodes, the job succeeds and nothing says what is missing.
- What a node says: the verdict, the name of a saved trace, the record of an inspector. Pictures and latents can be
  fetched, traces cannot.
- All other addresses (404): /object_info and the lists of models, asked before any work, /view, /history, our own.
- Cancelling: this ComfyUI lacks the address that the proxy calls. The proxy says "canceling", and the job runs on.

Not lost: refusals of a whole workflow and errors of a run name the node, and a job is found again by its id.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import websocket

from .server import DIRECT

ENDINGS = ("execution_success", "execution_error", "execution_interrupted")
Listener = Callable[[str, dict], None]


class RefusedError(ValueError):
    """The server did not accept a workflow as it is. details: its answer, with `node_errors` by node id."""

    def __init__(self, details: dict):
        self.details = details
        super().__init__(json.dumps(details.get("node_errors") or details.get("error") or details))


class JobError(RuntimeError):
    """A job ended with an error. job: the Job, whose `error` is the server's message."""

    def __init__(self, job: Job):
        self.job = job
        super().__init__(f"{job.error.get('node_type')}: {job.error.get('exception_message', job.ending).strip()}")


@dataclass
class Job:
    """One finished job. ending: one of ENDINGS. outputs: node id -> its `ui` output. events: (type, data) in order."""

    prompt_id: str
    ending: str = ""
    error: dict = field(default_factory=dict)
    outputs: dict[str, dict] = field(default_factory=dict)
    events: list[tuple[str, dict]] = field(default_factory=list)

    @property
    def cached(self) -> set[str]:
        """Ids of the nodes that did not run because nothing about them had changed."""
        return {node for kind, data in self.events if kind == "execution_cached" for node in data["nodes"]}


class Client:
    """One user of one server. Close it, or use it in a `with` block."""

    def __init__(self, address: str, timeout: float = 300.0):
        self.address, self.timeout, self.id = address.rstrip("/"), timeout, uuid.uuid4().hex
        self.submitted: list[str] = []
        events = self.address.replace("http", "ws", 1) + f"/ws?clientId={self.id}"
        self.socket = websocket.create_connection(events, timeout=timeout, suppress_origin=True)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the websocket; the server forgets this client."""
        self.socket.close()

    def get(self, path: str, **query) -> bytes:
        """Read one address of the server."""
        tail = "?" + urllib.parse.urlencode(query) if query else ""
        with DIRECT.open(self.address + path + tail, timeout=self.timeout) as answer:
            return answer.read()

    def post(self, path: str, body: dict) -> dict:
        """Send JSON; returns the JSON answer ({} if it is empty)."""
        request = urllib.request.Request(
            self.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with DIRECT.open(request, timeout=self.timeout) as answer:
            return json.loads(answer.read() or b"{}")

    def submit(self, prompt: dict, **extra) -> str:
        """Queue a workflow and return its id; RefusedError if any node was not accepted, also when others were."""
        try:
            answer = self.post("/prompt", {"prompt": prompt, "client_id": self.id, **extra})
        except urllib.error.HTTPError as error:
            raise RefusedError(json.loads(error.read())) from error
        if answer["node_errors"]:
            self.post("/queue", {"delete": [answer["prompt_id"]]})
            raise RefusedError(answer)
        self.submitted.append(answer["prompt_id"])
        return answer["prompt_id"]

    def messages(self) -> Iterator[tuple[str, dict]]:
        """Yield (type, data) of every message as it arrives; pictures come as ("preview", {"bytes": ...})."""
        until = time.monotonic() + self.timeout
        while time.monotonic() < until:
            frame = self.socket.recv()
            if isinstance(frame, bytes):
                yield "preview", {"bytes": frame[8:]}
            else:
                message = json.loads(frame)
                yield message["type"], message.get("data", {})
        raise TimeoutError(f"no end of the job within {self.timeout:.0f} s")

    def follow(self, prompt_id: str, listener: Listener | None = None) -> Job:
        """Wait for a job that was submitted, whatever its ending; the listener sees every message."""
        job = Job(prompt_id)
        for kind, data in self.messages():
            if data.get("prompt_id", prompt_id) != prompt_id:
                continue
            job.events.append((kind, data))
            if listener:
                listener(kind, data)
            if kind in ENDINGS:
                job.ending, job.error = kind, data if kind == "execution_error" else {}
                break
        job.outputs = self.history(prompt_id).get("outputs", {})
        return job

    def run(self, prompt: dict, listener: Listener | None = None, **extra) -> Job:
        """Queue a workflow and wait for it; JobError unless it ended well."""
        job = self.follow(self.submit(prompt, **extra), listener)
        if job.ending != "execution_success":
            raise JobError(job)
        return job

    def history(self, prompt_id: str) -> dict:
        """Return the server's entry of a finished job; it is written just after the last message."""
        for _ in range(50):
            entries = json.loads(self.get(f"/history/{prompt_id}"))
            if prompt_id in entries:
                return entries[prompt_id]
            time.sleep(0.05)
        return {}

    def forget(self) -> None:
        """Have the server drop this client's finished jobs from its history."""
        self.post("/history", {"delete": self.submitted})

    def file(self, entry: dict) -> bytes:
        """Fetch a file that an output names: {"filename", "subfolder", "type"}."""
        return self.get("/view", **{key: entry[key] for key in ("filename", "subfolder", "type") if key in entry})

    def cancel(self, prompt_id: str) -> None:
        """Take a job out of the queue, or stop it where it runs; other jobs go on."""
        self.post("/queue", {"delete": [prompt_id]})
        self.post("/interrupt", {"prompt_id": prompt_id})

    def interrupt(self) -> None:
        """Stop the job that runs now."""
        self.post("/interrupt", {})
