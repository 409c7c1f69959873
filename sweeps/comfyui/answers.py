"""What a server may answer: one shape for everything that is read of it, and a sentence for everything else.

The shapes are pydantic's, which every host from 0.3.60 on requires; msgspec would be a dependency of our own.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError, WrapValidator

MB = 2**20
MOST_JSON, MOST_NODES, MOST_FILE, MOST_MESSAGE = 32 * MB, 128 * MB, 64 * MB, 32 * MB  # bytes; a trace has at most 64 MB
LARGEST = 1e300  # of a range
SHOWN = 160  # letters of an answer that a message repeats
ANOTHER = "Is it a ComfyUI with this pack? Give its address, or look into its log."


class AnswerError(ValueError):
    """A server answered what ComfyUI does not; the text names the server and what it answered."""


class ServerFault(ConnectionError):
    """A server did not answer, or with a fault of its own (HTTP 5xx); the text names it.  It may answer later."""


def or_else(fallback: Any) -> WrapValidator:
    """In the place of a value that cannot be read, another one: nodes of other packs may say anything of themselves."""

    def read(value: Any, inner: Any) -> Any:
        try:
            return inner(value)
        except ValidationError:
            return fallback

    return WrapValidator(read)


def _kind_and_settings(value: Any) -> Any:
    """Of an input: its kind, and a table of settings; `options` are a list there, `min` and `max` are numbers."""
    if not isinstance(value, list) or not value or not isinstance(value[0], str | list):
        raise ValueError("a kind, and settings, are needed")
    settings = value[1] if len(value) > 1 and isinstance(value[1], dict) else {}
    good = settings if isinstance(settings.get("options") or [], list) else {**settings, "options": []}
    return [value[0], {k: v for k, v in good.items() if k not in ("min", "max") or _is_end(v)}]


def _is_end(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= LARGEST


class Inputs(BaseModel, extra="ignore"):
    """The inputs of a node: [kind, settings] by name."""

    required: dict[str, Annotated[list, BeforeValidator(_kind_and_settings), or_else(["unreadable", {}])]] = {}
    optional: dict[str, Annotated[list, BeforeValidator(_kind_and_settings), or_else(["unreadable", {}])]] = {}


class Node(BaseModel, extra="ignore"):
    """A node of /object_info."""

    display_name: str = ""
    category: str = ""
    input: Inputs
    output: Annotated[list, or_else([])] = []  # the type of every wire


class Queued(BaseModel, extra="ignore"):
    """The answer to a workflow."""

    prompt_id: str = Field(min_length=1, max_length=200)
    node_errors: dict[str, Any] = {}


class Refusal(BaseModel, extra="allow"):
    """The answer to a workflow that was not accepted."""

    error: dict[str, Any] | str
    node_errors: dict[str, Any] | list = {}


class Ended(BaseModel, extra="ignore"):
    """A finished job in /history.  outputs: node id -> its `ui` output."""

    outputs: dict[str, dict[str, Any]] = {}


class Message(BaseModel, extra="ignore"):
    """A message of the websocket; those of other packs may carry anything."""

    type: str
    data: Annotated[dict[str, Any], or_else({})] = {}


class ModelFolder(BaseModel, extra="ignore"):
    """A folder of /experiment/models."""

    name: str


class ModelFile(BaseModel, extra="ignore"):
    """A file in one.  size: bytes, or None where the server does not tell"""

    name: str
    size: int | None = None


class System(BaseModel, extra="ignore"):
    """A part of /system_stats."""

    comfyui_version: str


class Device(BaseModel, extra="ignore"):
    """One of its devices."""

    name: str


class Stats(BaseModel, extra="ignore"):
    """/system_stats."""

    system: System
    devices: list[Device] = Field(min_length=1)


class Picture(BaseModel, extra="ignore"):
    """A file that an output names."""

    filename: str = Field(min_length=1)
    subfolder: str = ""
    type: str = "output"


class Shown(BaseModel, extra="ignore"):
    """The outputs of a cell that are read: lines of text, pictures, and a judge's score."""

    text: list[str] = []
    images: list[Picture] = []
    judge: list[float | None] = []


NODES = TypeAdapter(dict[str, Annotated[Node | None, or_else(None)]])
QUEUED, REFUSAL, MESSAGE, STATS = (TypeAdapter(answer) for answer in (Queued, Refusal, Message, Stats))
HISTORY = TypeAdapter(dict[str, Ended])
FOLDERS, FILES = TypeAdapter(list[ModelFolder]), TypeAdapter(list[ModelFile])
OUTPUTS = TypeAdapter(dict[str, Annotated[Shown | None, or_else(None)]])
JSON = TypeAdapter(Any)


def read_as(shape: TypeAdapter, data: bytes, where: str) -> Any:
    """JSON of a server in a shape, as tables and lists.  where: who answered what.  Raises AnswerError."""
    try:
        return shape.dump_python(shape.validate_json(data))
    except ValidationError as error:
        raise AnswerError(f"{where} with {excerpt(data)}: {first_fault(error)}. {ANOTHER}") from error


def first_fault(error: ValidationError) -> str:
    """What is wrong first, and where."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg']}" if place else fault["msg"]


def excerpt(data: bytes) -> str:
    """The beginning of an answer as one line of plain text."""
    text = " ".join(data[: 4 * SHOWN].decode(errors="replace").split())
    return repr(text[:SHOWN] + ("..." if len(text) > SHOWN or len(data) > 4 * SHOWN else "")) if data else "nothing"
