"""What an actor of a Ray cluster does with the cells of a study: run each on a ComfyUI, and write what it left.

The class travels to the workers by value, since nobody can import this pack there by name: what it needs is imported
where it runs, from `root`, the folder of this repository on that machine.
"""

import contextlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

ADDRESS = "server"  # of a row: where it ran


def named_pack(root: str):
    """Register the pack under its name, as tools/run.py does, and return its modules for cells and clients."""
    spec = importlib.util.spec_from_file_location("gg_run", Path(root) / "tools" / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    if run.PACK not in sys.modules:
        run.name_the_pack()
    load = importlib.import_module
    return load(f"{run.PACK}.tools.study_cell"), load(f"{run.PACK}.tools.host.client")


class CellRunner:
    """One ComfyUI, and the cells that are handed to it one by one.

    servers: addresses of running ones, of which this actor takes one in turn; none starts an own one, on this machine's
    GPU if it has one. turns: counts the actors, so that a restarted one takes the next server.
    """

    def __init__(self, root, folder, measures, servers, turns, host, reports):
        import ray

        self.tools, self.clients = named_pack(root)
        from guidance_geometry.studies.cells import Cell
        from guidance_geometry.studies.results import Folder

        self.cell, self.folder, self.measures, self.reports = Cell, Folder(Path(folder)), measures, reports
        self.ended = contextlib.ExitStack()
        turn = ray.get(turns.next.remote())
        self.address = servers[turn % len(servers)] if servers else self._own(root, host)

    def _own(self, root, host):
        """Start a ComfyUI that ends with this actor."""
        from guidance_geometry.tools.host import provision, server

        here = self.ended.enter_context(tempfile.TemporaryDirectory(prefix="study-", ignore_cleanup_errors=True))
        options, pack = server.own_folders(Path(here))
        python = Path(sys.executable)
        options += provision.device_options(python)
        log = Path(here) / "host.log"
        return self.ended.enter_context(server.running(python, Path(host), log, options, pack)).address

    def __call__(self, row):
        """Run the cell of a row unless it is done; returns its id, and the error where it failed."""
        import json

        cell = self.cell(row["id"], json.loads(row["place"]), json.loads(row["prompt"]))
        told = {"id": cell.id, "place": row["place"], ADDRESS: self.address, "error": "", "process": os.getpid()}
        if self.folder.row(cell):  # a task that is tried again after its actor died
            return told
        try:
            with self.clients.Client(self.address) as client:
                self.folder.write(cell, *self.tools.run_cell(client, cell, self.reports), self.measures)
        except Exception as error:  # noqa: BLE001  whatever a server does is a fact of this cell
            told["error"] = f"{type(error).__name__}: {error}"
        return told

    def __del__(self):
        self.ended.close()
