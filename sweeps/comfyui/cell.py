"""One cell of a study on a server: queue its workflow, fetch its picture, its trace and its verdict."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ..cells import Cell
from ..graph import is_link, upstream
from ..judges import JUDGE
from ..workflow import PICTURES, TRACE, TRACED
from . import answers
from .answers import AnswerError, ServerFault
from .client import Client, JobError, LateError, Listener, RefusedError

Told = Mapping[str, Mapping[str, Any] | None]  # /object_info of a server; None of a node that it describes oddly
FAULTS = (OSError,)  # of a server, not of a cell
PAUSES = (1.0, 4.0, 15.0)  # s, before a server that does not answer is asked again
ASKED = 10.0  # s, in which a server that is there answers
AGAIN = "Give the same command again: it runs what is missing."
OWN = "sweep"  # folder in the traces of a server
HEX = 12  # digits of a mark of a judge
SHOWS_ANY = "PreviewAny"  # a node of the host that runs whatever is wired to it
REPORT, REPORT_NODE = "gg-sweep-report", "GGReport"


def read_node_types(client: Client) -> Told:
    """What a server says of its nodes; None of one that it describes as no ComfyUI does."""
    return client.read("/object_info", answers.NODES, answers.MOST_NODES)


def models_of(client: Client) -> dict[str, int | None]:
    """Every model file of a server with its size, by which two of one name are told apart; none on older servers."""
    status, data = client.ask("/experiment/models", refusal=404)
    if status == 404:
        return {}
    where = f"{client.address} answered /experiment/models"
    names = [folder["name"] for folder in answers.read_as(answers.FOLDERS, data, where)]
    listed = [client.read(f"/experiment/models/{quote(name, '')}", answers.FILES) for name in names]
    return {file["name"]: file["size"] for files in listed for file in files}


def is_there(address: str, pauses: Sequence[float] = ()) -> bool:
    """Whether a server is there.  pauses: s, after each of which it is asked again while it is silent."""
    for pause in pauses:
        if _is_there_now(address):
            return True
        time.sleep(pause)
    return _is_there_now(address)


def _is_there_now(address: str) -> bool:
    try:
        Client(address, ASKED).close()
    except (*FAULTS, AnswerError):
        return False
    return True


def machine_of(client: Client) -> str:
    """What a server is and computes on, such as ComfyUI 0.3.75, cpu; "" where it does not tell."""
    try:
        stats = client.read("/system_stats", answers.STATS)
    except (ServerFault, AnswerError):
        return ""
    return f"ComfyUI {stats['system']['comfyui_version']}, {stats['devices'][0]['name']}"


def run_cell(client: Client, cell: Cell, reports: bool, listener: Listener | None = None) -> tuple[bytes, bytes, dict]:
    """The trace, the first picture and other facts of a cell.  reports: whether the server has GGReport.

    Raises JobError, RefusedError, AnswerError or ValueError where the cell fails, one of FAULTS where the server does.
    """
    saving = cell.prompt[TRACE]
    named = {**saving["inputs"], "filename_prefix": f"{OWN}/{cell.id}"}  # not of the id; servers may share a folder
    prompt: dict[str, Any] = {**cell.prompt, TRACE: {**saving, "inputs": named}}
    report = JUDGE if JUDGE in prompt else REPORT
    if reports and report == REPORT:
        prompt[REPORT] = {"class_type": REPORT_NODE, "inputs": {"trace": cell.prompt[TRACE]["inputs"]["trace"]}}
    began = time.monotonic()
    try:
        job = client.run(prompt, listener)
    except LateError as late:
        client.cancel(client.job_ids[-1])  # or the next cells would wait behind it
        raise ValueError(f"The job had not ended after {client.timeout:.0f} s. Give it longer: --timeout.") from late
    facts: dict[str, Any] = {"seconds": round(time.monotonic() - began, 3)}
    shown = answers.OUTPUTS.dump_python(answers.OUTPUTS.validate_python(job.outputs))
    if (output := shown.get(report)) and output["text"]:
        facts |= {"verdict": output["text"][0]} | ({"judge": output["judge"][0]} if output["judge"] else {})
    texts, pictures = (shown.get(TRACE) or {}).get("text"), (shown.get(PICTURES) or {}).get("images")
    if not texts or not pictures:
        raise ValueError(f"{client.address} ended the job, but tells no trace and no picture of it. Run it again.")
    trace = client.file({"filename": texts[0].split(":")[0], "subfolder": f"traces/{OWN}", "type": "output"})
    return trace, client.file(pictures[0]), facts


def refuse_deaf_judges(client: Client, cells: Sequence[Cell], types: Told) -> None:
    """Make every judge of these cells on the server, and no picture: one without a label that it is asked for fails.

    types: by the server; an old one without Preview as Text is not asked. Raises ValueError with what it says.
    """
    prompt: dict[str, Any] = {}
    for cell in cells:
        if JUDGE not in cell.prompt or SHOWS_ANY not in types:
            continue
        energy, place = cell.prompt[JUDGE]["inputs"]["energy"]
        graph = {name: cell.prompt[name] for name in upstream(cell.prompt, energy)}
        if any(node["class_type"] in TRACED.values() for node in graph.values()):
            continue  # it cannot be made without a picture
        mark = hashlib.sha256(json.dumps(graph, sort_keys=True).encode()).hexdigest()[:HEX]
        prompt |= {f"{mark}-{name}": _rename_inputs(node, f"{mark}-") for name, node in graph.items()}
        prompt[mark] = {"class_type": SHOWS_ANY, "inputs": {"source": [f"{mark}-{energy}", place]}}
    try:
        if prompt:
            client.run(prompt)
    except (JobError, RefusedError) as error:
        raise ValueError(f"The judge cannot be asked: {error} Change it, or add --judge none.") from error


def _rename_inputs(node: Mapping, before: str) -> dict[str, Any]:
    inputs = {n: [f"{before}{v[0]}", v[1]] if is_link(v) else v for n, v in node["inputs"].items()}
    return {"class_type": node["class_type"], "inputs": inputs}


class Connection:
    """A server for one cell after the other, with a new websocket after each fault.

    pauses: s, before asking again. name: what results call it; "" is its address.
    """

    def __init__(self, address: str, timeout: float, pauses: Sequence[float], name: str = ""):
        self.address, self.timeout, self.pauses, self.name = address, timeout, pauses, name or address
        self.client: Client | None = None
        self.machine = ""

    def run(self, cell: Cell, reports: bool) -> tuple[bytes, bytes, dict]:
        """The trace, the picture and the facts of a cell.

        Raises JobError or ValueError where the cell fails, and one of FAULTS where the server does not answer for as
        long as all pauses together.
        """
        for pause in self.pauses:
            try:
                return self._once(cell, reports)
            except FAULTS as fault:
                print(f"{self.address}: {fault}. It is asked again in {pause:g} s.", file=sys.stderr, flush=True)
            time.sleep(pause)
        return self._once(cell, reports)

    def _once(self, cell: Cell, reports: bool) -> tuple[bytes, bytes, dict]:
        try:
            if not self.client:
                self.client = Client(self.address, self.timeout)
                self.machine = machine_of(self.client)
            trace, picture, facts = run_cell(self.client, cell, reports)
            return trace, picture, {**facts, "server": self.name, **({"machine": self.machine} if self.machine else {})}
        except FAULTS:
            self.close()
            raise

    def close(self) -> None:
        """Leave the server; what it runs for us goes on."""
        client, self.client = self.client, None
        if client:
            client.close()
