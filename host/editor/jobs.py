"""The job of the host's queue in which a node runs, and what that job asks of this pack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

from comfy.cli_args import args
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context

from ..server import KEY, prompt_server
from .users import NOBODY, ONLY_USER

MOST_LETTERS = 64  # of a workflow's key
LONGEST = 200  # letters of an id, a title, a user
WIRES = ("model", "guider")  # inputs that lead to a MODEL contain one of these
FILES = ("ckpt_name", "unet_name")  # widgets that name a file of weights
PATCHES = ("lora_name",)  # and those that change them
MOST_NODES = 1000  # nodes that are looked at
SAMPLERS = "samplers"  # under our key in a recorded job's extra data: ids of the nodes that may sample


@dataclass(frozen=True)
class RunningJob:
    """A job that runs now, as one of its nodes sees it.

    node: its execution id. list_index: which element of a list it works on. prompt: in API form. extra: the job's
    extra data.
    """

    prompt_id: str
    node: str
    list_index: int
    prompt: Mapping[str, Any]
    extra: Mapping[str, Any]

    @property
    def workflow_id(self) -> str | None:
        """The id that the editor gave its workflow; several workflows may have the same."""
        return workflow_id_of(self.extra)

    @property
    def workflow_key(self) -> str | None:
        """What the Guidance tab wrote into this workflow to tell it from others of the same id."""
        return workflow_key_of(self.extra)

    @property
    def user(self) -> str:
        """Who queued it."""
        return owner_of(self.extra)

    @property
    def wants_records(self) -> bool:
        """Whether every run of this job is to be kept for the Guidance tab."""
        return within(self.extra, KEY, "record") is True

    @property
    def samplers(self) -> list[str]:
        """The nodes that may sample in a recorded job."""
        return within(self.extra, KEY, SAMPLERS) or []

    @property
    def display(self) -> str:
        """The node of the user's graph: what expands at run time counts as the node that made it."""
        return display_of(self.node)

    @property
    def title(self) -> str:
        """What the user calls that node."""
        return self.title_of(self.display)

    def title_of(self, node: str) -> str:
        """What the user calls a node; its class where nothing says."""
        title, kind = (within(self.prompt.get(node), *names) for names in (("_meta", "title"), ("class_type",)))
        return text_or_none(title, LONGEST) or text_or_none(kind, LONGEST) or node[:LONGEST]

    def feeds(self, name: str) -> str:
        """Title of the node that is wired to an input of this one; empty where none is."""
        wire = within(self.prompt.get(self.display), "inputs", name)
        return self.title_of(str(wire[0])) if isinstance(wire, list) and wire else ""


def running_job() -> RunningJob | None:
    """The job in which the calling node runs; None in scripts and tests."""
    server, context = prompt_server(), get_executing_context()
    for _, prompt_id, prompt, extra, *_ in list(server.prompt_queue.currently_running.values()) if server else []:
        if context and prompt_id == context.prompt_id:
            index = context.list_index or 0
            return RunningJob(prompt_id, context.node_id, index, prompt, extra)
    return None


def job_of(queue: Any, prompt_id: str) -> RunningJob | None:
    """A job of the host's queue as a whole, while it runs and as long as its history is kept."""
    running = {job: (prompt, extra) for _, job, prompt, extra, *_ in list(queue.currently_running.values())}
    ended = queue.get_history(prompt_id=prompt_id, map_function=lambda entry: entry["prompt"][2:4])
    there = running.get(prompt_id) or ended.get(prompt_id)
    return RunningJob(prompt_id, "", 0, *there) if there else None


def names_here() -> tuple[str, str]:
    """What the user calls the node that runs, and its number; empty outside the queue."""
    job = running_job()
    return (job.title, job.display) if job else ("", "")


def who_queued() -> str:
    """The user whose job runs now; in scripts and tests the only one."""
    job = running_job()
    return job.user if job else ONLY_USER


def owner_of(extra: Any) -> str:
    """Who queued a job, by its extra data: `taps.handle_prompt` wrote that there, and no request can."""
    return (text_or_none(within(extra, KEY, "user")) or NOBODY) if args.multi_user else ONLY_USER


def display_of(node: str) -> str:
    """The node of the user's graph that an execution id stands for."""
    return get_progress_state().dynprompt.get_display_node_id(node)


def workflow_of(extra: Any) -> Mapping[str, Any]:
    """The editor's workflow in a job's extra data; empty for a job of the API."""
    workflow = within(extra, "extra_pnginfo", "workflow")
    return workflow if isinstance(workflow, Mapping) else {}


def workflow_id_of(extra: Any) -> str | None:
    """The id of that workflow; one that is too long counts as none."""
    return text_or_none(workflow_of(extra).get("id"))


def workflow_key_of(extra: Any) -> str | None:
    """The key of that workflow."""
    return text_or_none(within(workflow_of(extra), "extra", KEY, "key"), MOST_LETTERS)


def text_or_none(value: Any, most: int | None = None) -> str | None:
    """A text, shortened to `most` letters where that is given; None for what is no text, or too long for a name."""
    if not isinstance(value, str) or (most is None and len(value) > LONGEST):
        return None
    return value[:most]


def within(value: Any, *names: str) -> Any:
    """What lies under some names, one in the other; None where one is missing: anybody may have written it."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def file_of(job: RunningJob | None) -> str | None:
    """The file that the sampler of a job reads its model from, with the LoRAs on the way; None if that is not plain.

    Two files leave it open which of them sampled.
    """
    if job is None:
        return None
    texts = list(_upstream(job.prompt, job.node))
    files, patches = ([name for kind, name in texts if kind in kinds] for kinds in (FILES, PATCHES))
    if len(set(files)) != 1:
        return None
    return " + ".join([files[0], *sorted(patches)])


def _upstream(prompt: Mapping[str, Any], node: str) -> Iterator[tuple[str, str]]:
    """Widgets that name a file, and those names without folders, of all nodes that a MODEL goes through."""
    waiting, seen = [node], set()
    while waiting and len(seen) < MOST_NODES:
        name = waiting.pop()
        inputs = within(prompt, name, "inputs")
        if name in seen or not isinstance(inputs, Mapping):
            continue
        seen.add(name)
        for given, value in inputs.items():
            if given in (*FILES, *PATCHES) and isinstance(value, str):
                yield given, PureWindowsPath(value).name  # it takes both kinds of slashes
            elif isinstance(value, list) and value and isinstance(value[0], str) and any(w in given for w in WIRES):
                waiting.append(value[0])
