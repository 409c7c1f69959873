"""What the host itself says of a node's widgets before anything runs."""

import asyncio
from unittest.mock import patch

import nodes as host_nodes


def queued(node, **widgets):
    """Sentences of the host's validation, without those about wires that are not there."""
    import execution

    name = node.define_schema().node_id
    prompt = {"1": {"class_type": name, "inputs": widgets}}
    with patch.dict(host_nodes.NODE_CLASS_MAPPINGS, {name: node}):
        _, errors, _ = asyncio.run(execution.validate_inputs("job", prompt, "1", {}))
    return [f"{e['message']}: {e['details']}" for e in errors if e["type"] != "required_input_missing"]
