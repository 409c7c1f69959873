"""What an actor of a Ray cluster does with the cells of a study: run each on a ComfyUI, and write what it left.

The classes travel to the workers by value, since nobody can import this pack there by name: what they need is imported
where they run, from `root`, the folder of this repository on that machine.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import runpy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DONE, FAILED, LOST, UNWRITTEN, WAITING = "done", "failed", "lost", "unwritten", "waiting"  # how a cell ended
NO_SERVER = "No server is left."
MOST_STARTS = 3  # of an actor's own ComfyUI, which may have died of a cell
ASK_AGAIN, MOST_SILENT = 30.0, 600.0  # s, until a silent server is asked again, at first and at most
HOLD_GROWS, MOST_HELD = 4, 64.0  # an actor without a ComfyUI keeps each cell so many times longer, up to so many s
BY_ACTOR = ("take", "owns")  # what actors say of themselves


def named_pack(root: str):
    """Register the pack under its name: an installation has its root on the path already."""
    if (here := Path(root) / "__main__.py").is_file() and (Path(root) / "nodes").is_dir():
        runpy.run_path(str(here))["name_the_pack"]()


class Seats:
    """Which actor works on which server, which servers are silent, and which actors have a ComfyUI of their own.

    after: s, until a silent server is asked again; each time twice as long, up to MOST_SILENT.
    """

    def __init__(self, servers: Sequence[str], after: float = ASK_AGAIN):
        self.alive, self.by_actor, self.after = list(servers), {}, after
        self.silent = {}  # address -> when it is asked again, and how long after that
        self.own = {}  # actor with a ComfyUI of its own -> when it said so

    def begin(self):
        """A new pass, with new actors."""
        self.by_actor, self.own = {}, {}

    def take(self, actor: Any):
        """The server of an actor, the same again after a restart, unless another has it and one is free; "" for none.

        So actors that share a server part when another one answers again.
        """
        mine, used = self.by_actor.get(actor), [*self.by_actor.values()]
        free = next((address for address in self.alive if address not in used), None)
        if mine not in self.alive or (free and used.count(mine) > 1):
            self.by_actor[actor] = free or min(self.alive, key=used.count, default="")
        return self.by_actor[actor]

    def lose(self, address: str):
        """A server does not answer: nobody gets it until it does."""
        if address in self.alive:
            self.alive.remove(address)
            self.silent[address] = time.monotonic() + self.after, 2 * self.after

    def due(self):
        """A silent server that is to be asked again now, by whoever calls this; "" for none."""
        now = time.monotonic()
        for address, (when, pause) in self.silent.items():
            if now >= when:
                self.silent[address] = now + pause, min(2 * pause, MOST_SILENT)
                return address
        return ""

    def regain(self, address: str):
        """A silent server answers again."""
        if self.silent.pop(address, None):
            self.alive.append(address)

    def owns(self, actor: Any, there: bool):
        """An actor tells whether it has a ComfyUI of its own."""
        self.own.pop(actor, None)
        if there:
            self.own[actor] = time.monotonic()

    def able(self, within: float):
        """Whether anybody can run a cell, as far as was heard within so many seconds."""
        heard = time.monotonic() - within
        return bool(self.alive) or any(when >= heard for when in self.own.values())

    def left(self):
        """The servers that answer."""
        return self.alive


class SeatsOnRay:
    """Seats that a Ray actor keeps, and all others ask."""

    def __init__(self, handle: Any):
        self.handle = handle

    def __getattr__(self, name: str):
        if name.startswith("_"):  # of pickle, before the handle is there
            raise AttributeError(name)
        return functools.partial(self._ask_handle, name)

    def _ask_handle(self, name: str, *given):
        import ray

        if name in BY_ACTOR:
            given = (ray.get_runtime_context().get_actor_id(), *given[1:])
        return ray.get(getattr(self.handle, name).remote(*given))


class CellRunner:
    """One ComfyUI, and the cells that are handed to it one by one.

    root: folder of this repository on that machine.
    output: folder or address of the results.
    measures: of the table.
    seats: gives it a running server, and knows what others have; Seats or SeatsOnRay.
    host: folder of the ComfyUI that it starts for itself on this machine; "" for none.
    reports: as for `Connection.run` (sweeps/comfyui/cell.py).
    patience: the timeout and the pauses of a Connection, in s, which are those between two starts of a ComfyUI too.
    cpu: not on its GPU.
    rules: in files, FILE:RULE, at the same place on every machine.
    """

    def __init__(  # noqa: PLR0913
        self,
        root: str,
        output: str,
        measures: Sequence[str],
        seats: Any,
        host: str,
        reports: bool,
        patience: tuple[float, Sequence[float]],
        cpu: bool = False,
        rules: str = "",
    ):
        named_pack(root)
        os.environ["GG_RULE_FILES"] = rules
        from guidance_geometry.sweeps.addresses import place_at
        from guidance_geometry.sweeps.cells import Cell
        from guidance_geometry.sweeps.comfyui import cell as cell_runs
        from guidance_geometry.sweeps.results import Folder

        self.tools, self.cell, self.folder = cell_runs, Cell, Folder(place_at(output))
        self.settings = measures, reports, patience
        self.seats, self.exits = seats, contextlib.ExitStack()
        self.own = OwnComfyUI(host, cpu, patience[1], self.exits) if host else None
        self.server, self.why, self.holds = None, NO_SERVER, 0
        self._connect()

    def _connect(self):
        """Find a server, or start one; none leaves the reason."""
        if not self.own:
            self._sit_on(self.seats.take(id(self)), "")
            return
        self.exits.close()
        address, why = self.own.start()
        self.why = why or self.why
        self._sit_on(address, f"own ComfyUI on {platform.node()}, process {os.getpid()}")
        self.seats.owns(id(self), bool(address))

    def _sit_on(self, address: str, name: str):
        if self.server and self.server.address == address:
            return
        if self.server:
            self.server.close()
        self.server = self.tools.Connection(address, *self.settings[2], name) if address else None

    def _look_around(self):
        """Ask a silent server again when its time has come, and move to where there is room."""
        if self.own:
            self.seats.owns(id(self), bool(self.server))
            return
        silent = self.seats.due()
        if silent and self.tools.is_there(silent):
            self.seats.regain(silent)
        self._connect()

    def __call__(self, row: Mapping[str, str]):
        """Run the cell of a row unless it is done; returns its id, how it ended, and why."""
        cell = self.cell(row["id"], json.loads(row["place"]), json.loads(row["prompt"]))
        end, words, server = self._finish(cell)
        return {"id": cell.id, "end": end, "words": words, "server": server, "process": os.getpid()}

    def _finish(self, cell: Any):
        from guidance_geometry.files.writing import NotWritten

        if done := self.folder.row(cell):  # a task that is tried again after its actor died
            return DONE, "", done.get("server", "")
        self._look_around()
        if not self.server:
            self._hold()
            return WAITING, self.why, ""
        server, (measures, reports, _) = self.server.name, self.settings
        try:
            self.folder.write(cell, *self.server.run(cell, reports), measures)
        except NotWritten as error:
            return UNWRITTEN, str(error), server
        except Exception as error:  # noqa: BLE001  whatever a server does is a fact of this cell
            words = str(error) if isinstance(error, ValueError | RuntimeError | OSError) else repr(error)
            return self._blame(), words or type(error).__name__, server
        return DONE, "", server

    def _hold(self):
        """Wait before a cell is given back while others can run cells, or they would hardly get any."""
        timeout, pauses = self.settings[2]
        if pauses and self.seats.able(timeout + MOST_HELD):
            time.sleep(min(pauses[0] * HOLD_GROWS**self.holds, MOST_HELD))
            self.holds += 1

    def _blame(self):
        """A cell has failed only if its server is still there; else another server gets it, and this actor too."""
        address = self.server.address
        if self.tools.is_there(address, self.settings[2][1]):
            return FAILED
        if not self.own:
            self.seats.lose(address)
        self._connect()
        return LOST

    def __del__(self):
        with contextlib.suppress(AttributeError):  # of one that never began
            self.exits.close()


class OwnComfyUI:
    """Starts a ComfyUI for an actor, at most MOST_STARTS times.  exits: ends it."""

    def __init__(self, host: str, cpu: bool, pauses: Sequence[float], exits: contextlib.ExitStack):
        self.host, self.cpu, self.exits = host, cpu, exits
        self.pauses = [0.0, *pauses, *[0.0] * MOST_STARTS][:MOST_STARTS]  # s, before each start

    def start(self):
        """The address of one that answers and why there is none, one of them "".  Pauses grow after each failure."""
        why = ""
        while self.pauses:
            time.sleep(self.pauses.pop(0))
            try:
                return self._start(), ""
            except Exception as error:  # noqa: BLE001  whatever keeps a host from starting is told with the cells
                self.exits.close()
                why = f"ComfyUI does not start in {self.host}: {error}"
        return "", why

    def _start(self):
        from guidance_geometry.sweeps.comfyui import process

        return self.exits.enter_context(process.start_comfyui(process.comfyui_at(Path(self.host)), self.cpu)).address
