"""What an actor of a Ray cluster does with the cells of a study: run each on a ComfyUI, and write what it left.

The classes travel to the workers by value, since nobody can import this pack there by name: what they need is imported
where they run, from `root`, the folder of this repository on that machine.
"""

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

DONE, FAILED, LOST, UNWRITTEN, WAITING = "done", "failed", "lost", "unwritten", "waiting"  # how a cell ended
NO_SERVER = "No server is left."
MOST_STARTS = 3  # of an actor's own ComfyUI, which may have died of a cell


def named_pack(root):
    """Register the pack under its name, as tools/run.py does."""
    spec = importlib.util.spec_from_file_location("gg_run", Path(root) / "tools" / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    if run.PACK not in sys.modules:
        run.name_the_pack()


class Seats:
    """Which actor works on which server, and which servers are gone."""

    def __init__(self, servers):
        self.alive, self.taken = list(servers), {}

    def take(self, actor):
        """The server of an actor, the same again after a restart; "" where none is left."""
        if self.taken.get(actor) not in self.alive:
            used = [*self.taken.values()]
            self.taken[actor] = min(self.alive, key=used.count, default="")
        return self.taken[actor]

    def lose(self, address):
        """A server does not answer any more: nobody gets it again."""
        self.alive = [one for one in self.alive if one != address]

    def left(self):
        """The servers that answer."""
        return self.alive


class SeatsOnRay:
    """The same, kept by an actor that all others ask."""

    def __init__(self, handle):
        self.handle = handle

    def take(self, _):
        """The server of this actor."""
        import ray

        return ray.get(self.handle.take.remote(ray.get_runtime_context().get_actor_id()))

    def lose(self, address):
        """A server does not answer any more."""
        import ray

        ray.get(self.handle.lose.remote(address))


class CellRunner:
    """One ComfyUI, and the cells that are handed to it one by one.

    output: folder or address of the results. seats: who gives it a running server; None starts an own one, on this
    machine's GPU if it has one, from `host`, the folder of ComfyUI there. timeout, pauses: of study_cell.Connection.
    """

    def __init__(self, root, output, measures, seats, host, reports, patience):
        named_pack(root)
        from guidance_geometry.studies.addresses import place_at
        from guidance_geometry.studies.cells import Cell
        from guidance_geometry.studies.results import Folder
        from guidance_geometry.tools import study_cell

        self.tools, self.cell, self.folder = study_cell, Cell, Folder(place_at(output))
        self.measures, self.reports, self.patience = measures, reports, patience
        self.seats, self.host, self.starts = seats, host, 0
        self.ended = contextlib.ExitStack()
        self.server, self.why = None, NO_SERVER
        self._connect()

    def _connect(self):
        """Find a server, or start one; none leaves the reason."""
        self.ended.close()
        try:
            address = self.seats.take(id(self)) if self.seats else self._own()
        except Exception as error:  # noqa: BLE001  whatever keeps a host from starting is told with the cells
            address, self.why = "", f"ComfyUI does not start in {self.host}: {error}"
        self.server = self.tools.Connection(address, *self.patience) if address else None

    def _own(self):
        """Start a ComfyUI that ends with this actor."""
        from guidance_geometry.tools.host import provision, server

        if self.starts == MOST_STARTS:
            return ""
        self.starts += 1
        here = self.ended.enter_context(tempfile.TemporaryDirectory(prefix="study-", ignore_cleanup_errors=True))
        options, pack = server.own_folders(Path(here))
        python = Path(sys.executable)
        options += provision.device_options(python)
        log = Path(here) / "host.log"
        return self.ended.enter_context(server.running(python, Path(self.host), log, options, pack)).address

    def __call__(self, row):
        """Run the cell of a row unless it is done; returns its id, how it ended, and why."""
        cell = self.cell(row["id"], json.loads(row["place"]), json.loads(row["prompt"]))
        address = self.server.address if self.server else ""
        end, words = self._ended(cell)
        return {"id": cell.id, "end": end, "words": words, "server": address, "process": os.getpid()}

    def _ended(self, cell):
        from guidance_geometry.files.writing import NotWritten

        if self.folder.row(cell):  # a task that is tried again after its actor died
            return DONE, ""
        if not self.server:
            self._connect()
        if not self.server:
            return WAITING, self.why
        try:
            made = self.server.run(cell, self.reports)
            self.folder.write(cell, *made, self.measures)
        except NotWritten as error:
            return UNWRITTEN, str(error)
        except Exception as error:  # noqa: BLE001  whatever a server does is a fact of this cell
            return self._blamed(f"{type(error).__name__}: {error}")
        return DONE, ""

    def _blamed(self, words):
        """A cell has failed only if its server is still there; else another server gets it, and this actor too."""
        if self.tools.answers(self.server.address):
            return FAILED, words
        if self.seats:
            self.seats.lose(self.server.address)
        self._connect()
        return LOST, words

    def __del__(self):
        with contextlib.suppress(AttributeError):  # of one that never began
            self.ended.close()
