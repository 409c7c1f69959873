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

import asyncio
import concurrent.futures
import functools
import json
import threading
import time
import urllib.parse
import uuid
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic import TypeAdapter
from yarl import URL

from . import answers
from .answers import MOST_FILE, MOST_JSON, MOST_MESSAGE, AnswerError, ServerFault, excerpt, read_as

ENDINGS = ("execution_success", "execution_error", "execution_interrupted")
MOST_HEARD = 256 * answers.MB  # bytes of the messages of one job that are kept
AGAIN = (0.5, 2.0)  # s, before a server is asked again that answered HTTP 5xx
ANSWERED_BY = 45.0  # s, in which anything but a file and a job is there, however patient the caller is
GOODBYE = 1.0  # s, which a server has to close a connection with us
KEPT_FOR = 2.5  # s, in which the history has a job after its last message
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
        super().__init__(f"{job.error.get('node_type')}: {str(job.error.get('exception_message', job.ending)).strip()}")


class LateError(TimeoutError):
    """A job had not ended in time."""


@dataclass
class Job:
    """One finished job. ending: one of ENDINGS. outputs: node id -> its `ui` output. events: (type, data) in order."""

    prompt_id: str
    ending: str = ""
    error: dict = field(default_factory=dict)
    outputs: dict[str, dict] = field(default_factory=dict)
    events: list[tuple[str, dict]] = field(default_factory=list)

    @property
    def cached_nodes(self) -> set[str]:
        """Ids of the nodes that did not run because nothing about them had changed."""
        return {node for kind, data in self.events if kind == "execution_cached" for node in data.get("nodes", ())}


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    """The loop of all clients, in a thread of its own: whoever calls may have one that runs, as browsers do."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="clients", daemon=True).start()
    return made


def end_later(session: aiohttp.ClientSession) -> None:
    """Close what a client left open that nobody closed."""
    asyncio.run_coroutine_threadsafe(session.close(), loop())


async def refuse_to_leave(_session: object, _context: object, params: aiohttp.TraceRequestRedirectParams) -> None:
    """Raise AnswerError for a redirect from the server that was named to another one, which nobody chose."""
    here = params.response.url
    there = here.join(URL(params.response.headers.get("Location", "")))
    if there.origin() != here.origin():
        raise AnswerError(f"{here.origin()} sends to {there.origin()}. If that is your ComfyUI, give its address.")


class Client:
    """One user of one server. Close it, or use it in a `with` block.

    timeout: s, in which a server has to answer, and a job has to end. Whatever is asked raises ServerFault where there
    is no answer, and AnswerError for one that ComfyUI would not give.
    """

    def __init__(self, address: str, timeout: float = 300.0):
        self.address, self.timeout, self.id = address.rstrip("/"), timeout, uuid.uuid4().hex
        self.job_ids: list[str] = []
        self.session: aiohttp.ClientSession = self._wait(self._session(), "")
        weakref.finalize(self, end_later, self.session)
        try:
            self.socket: aiohttp.ClientWebSocketResponse = self._wait(self._listen(), "/ws", self.soon)
        except BaseException:
            self._wait(self.session.close(), "")
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def soon(self) -> float:
        """Seconds, in which a server answers that is there."""
        return min(self.timeout, ANSWERED_BY)

    def close(self) -> None:
        """Leave the server, which forgets this client; what it runs for us goes on."""
        self._wait(self._leave(), "")

    async def _session(self) -> aiohttp.ClientSession:
        plain = {"Accept-Encoding": "identity"}  # what is packed has no size that can be known before
        watch = aiohttp.TraceConfig()
        watch.on_request_redirect.append(refuse_to_leave)
        patience = aiohttp.ClientTimeout(total=None)
        return aiohttp.ClientSession(headers=plain, auto_decompress=False, timeout=patience, trace_configs=[watch])

    async def _listen(self) -> aiohttp.ClientWebSocketResponse:
        close = aiohttp.ClientWSTimeout(ws_close=GOODBYE)  # pyright: ignore[reportCallIssue]  its class is made by attrs
        where = f"{self.address}/ws?clientId={self.id}"
        try:
            return await self.session.ws_connect(where, timeout=close, max_msg_size=MOST_MESSAGE)
        except aiohttp.WSServerHandshakeError as error:
            words = f"{self.address} answered /ws with HTTP {error.status}"
            raise (ServerFault if error.status >= 500 else AnswerError)(f"{words}. {answers.ANOTHER}") from error

    async def _leave(self) -> None:
        try:
            with suppress(asyncio.TimeoutError):  # a busy server is left without its answer
                await asyncio.wait_for(self.socket.close(), GOODBYE)
        finally:
            await self.session.close()

    def _wait(self, work: Coroutine, what: str, seconds: float | None = None) -> Any:
        """What comes of some work within a time.  Raises ServerFault, AnswerError, ValueError for a bad address."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds or self.timeout), loop())
        try:
            return future.result()
        except (AnswerError, ServerFault):
            raise
        except aiohttp.InvalidURL as error:
            raise ValueError(f"{self.address} is no address. Write one such as http://127.0.0.1:8188.") from error
        except (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError) as error:
            late = f"{seconds or self.timeout:.0f} s"
            raise ServerFault(f"{self.address} does not answer{f' {what}' if what else ''} within {late}.") from error
        except Exception as error:  # whatever its library raises is about what the server does
            words = f"{self.address} does not answer{f' {what}' if what else ''}: {error or type(error).__name__}."
            raise ServerFault(words) from error
        finally:
            future.cancel()

    def ask(self, path: str, body: dict | None = None, most: int = MOST_JSON, refusal: int = 0) -> tuple[int, bytes]:
        """The status and the answer of an address, asked again after HTTP 5xx.

        body: sent as JSON. most: bytes. refusal: a status that is an answer too.
        """
        words = ""
        for pause in (*AGAIN, None):
            seconds = self.timeout if most == MOST_FILE else self.soon  # a file may be long on its way
            status, data = self._wait(self._answer(path, body, most), path, seconds)
            words = f"{self.address} answered {path} with HTTP {status}: {excerpt(data)}. "
            if 200 <= status < 300 or status == refusal:
                return status, data
            if status < 500:
                raise AnswerError(words + answers.ANOTHER)
            if pause is not None:
                time.sleep(pause)
        raise ServerFault(words + "Look into its log.")

    async def _answer(self, path: str, body: dict | None, most: int) -> tuple[int, bytes]:
        method = "GET" if body is None else "POST"
        async with self.session.request(method, self.address + path, json=body) as answer:
            data = bytearray()
            async for part in answer.content.iter_chunked(2**16):
                data += part
                if len(data) > most:
                    size = f"more than {most / answers.MB:,.0f} MB"
                    raise AnswerError(f"{self.address} answered {path} with {size}. {answers.ANOTHER}")
            return answer.status, bytes(data)

    def get(self, path: str, most: int = MOST_JSON, **query: str) -> bytes:
        """Read one address of the server."""
        return self.ask(path + ("?" + urllib.parse.urlencode(query) if query else ""), most=most)[1]

    def read(self, path: str, shape: TypeAdapter, most: int = MOST_JSON) -> Any:
        """Read the JSON of one address, which has this shape."""
        return read_as(shape, self.get(path, most), f"{self.address} answered {path}")

    def post(self, path: str, body: dict) -> Any:
        """Send JSON; returns the JSON answer ({} if it is empty)."""
        return read_as(answers.JSON, self.ask(path, body)[1] or b"{}", f"{self.address} answered {path}")

    def submit(self, prompt: dict, **extra) -> str:
        """Queue a workflow and return its id; RefusedError if any node was not accepted, also when others were."""
        status, data = self.ask("/prompt", {"prompt": prompt, "client_id": self.id, **extra}, refusal=400)
        where = f"{self.address} answered /prompt"
        if status == 400:
            raise RefusedError(read_as(answers.REFUSAL, data, where))
        answer = read_as(answers.QUEUED, data, where)
        if answer["node_errors"]:
            self.tell("/queue", {"delete": [answer["prompt_id"]]})
            raise RefusedError(answer)
        self.job_ids.append(answer["prompt_id"])
        return answer["prompt_id"]

    def tell(self, path: str, body: dict) -> None:
        """Send JSON, whatever the answer says."""
        self.ask(path, body)

    def messages(self) -> Iterator[tuple[str, dict]]:
        """Yield (type, data) of every message as it arrives; pictures come as ("preview", {"bytes": ...})."""
        until = time.monotonic() + self.timeout
        while (left := until - time.monotonic()) > 0:
            try:
                message = self._wait(self.socket.receive(), "", left)
            except ServerFault:
                if time.monotonic() >= until:
                    break
                raise
            yield self._message(message)
        raise LateError(f"no end of the job within {self.timeout:.0f} s")

    def _message(self, message: aiohttp.WSMessage) -> tuple[str, dict]:
        if message.type == aiohttp.WSMsgType.BINARY:
            return "preview", {"bytes": message.data[8:]}
        if message.type == aiohttp.WSMsgType.TEXT:
            parsed = read_as(answers.MESSAGE, message.data.encode(errors="replace"), f"{self.address} sent a message")
            return parsed["type"], parsed["data"]
        if getattr(message.data, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            most = f"more than {MOST_MESSAGE // answers.MB} MB"
            raise AnswerError(f"{self.address} sent a message of {most}. {answers.ANOTHER}")
        raise ServerFault(f"{self.address} has ended the connection ({message.data or message.type.name}).")

    def follow(self, prompt_id: str, listener: Listener | None = None) -> Job:
        """Wait for a job that was submitted, whatever its ending; the listener sees every message."""
        job, heard = Job(prompt_id), 0
        for kind, data in self.messages():
            if data.get("prompt_id", prompt_id) != prompt_id:
                continue
            heard += len(repr(data))
            if heard <= MOST_HEARD:
                job.events.append((kind, data))
            if listener:
                listener(kind, data)
            if kind in ENDINGS and "prompt_id" in data:
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
        until = time.monotonic() + KEPT_FOR
        while True:
            entries = self.read(f"/history/{urllib.parse.quote(prompt_id, '')}", answers.HISTORY)
            if prompt_id in entries or time.monotonic() > until:
                return entries.get(prompt_id, {})
            time.sleep(0.05)

    def forget(self) -> None:
        """Have the server drop this client's finished jobs from its history."""
        self.tell("/history", {"delete": self.job_ids})

    def file(self, entry: dict) -> bytes:
        """Fetch a file that an output names: {"filename", "subfolder", "type"}."""
        named = {key: str(entry[key]) for key in ("filename", "subfolder", "type") if key in entry}
        return self.get("/view", MOST_FILE, **named)

    def cancel(self, prompt_id: str) -> None:
        """Take a job out of the queue, or stop it where it runs; other jobs go on."""
        self.tell("/queue", {"delete": [prompt_id]})
        self.tell("/interrupt", {"prompt_id": prompt_id})

    def interrupt(self) -> None:
        """Stop the job that runs now."""
        self.tell("/interrupt", {})
