"""What the host itself says of a node's widgets before anything runs."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import nodes as host_nodes


def complete(coroutine):
    """What a coroutine returns; in a thread of its own, since a browser of other tests keeps a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def queued(node, **widgets):
    """Sentences of the host's validation, without those about wires that are not there."""
    import execution

    name = node.define_schema().node_id
    prompt = {"1": {"class_type": name, "inputs": widgets}}
    with patch.dict(host_nodes.NODE_CLASS_MAPPINGS, {name: node}):
        _, errors, _ = complete(execution.validate_inputs("job", prompt, "1", {}))
    return [f"{e['message']}: {e['details']}" for e in errors if e["type"] != "required_input_missing"]
