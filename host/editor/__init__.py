"""What nodes, the editor and its server ask of the pack: wires, jobs, users, runs and picks that are kept."""

from typing import TYPE_CHECKING

from ...guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import (
        addresses,
        checks,
        choices,
        energy_inputs,
        figure_files,
        jobs,
        knob_inputs,
        knowledge,
        live,
        model_curves,
        node_types,
        page_file,
        panel_record,
        prompt_words,
        routes,
        rule_nodes,
        run_store,
        saving,
        tap_places,
        taps,
        thumbnails,
        users,
        view_node,
        widgets,
        wires,
    )
else:
    __getattr__ = modules_on_demand(__name__)
