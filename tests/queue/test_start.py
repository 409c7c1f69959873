"""What the pack costs a host that merely has it installed."""

import json
import subprocess
import sys

from guidance_geometry.tests.queue.prompts import HOST, ROOT

HEAVY = ["matplotlib", "torchvision", "transformers", "kornia", "PIL.ImageDraw"]
SCRIPT = """
import asyncio, importlib.util, json, sys
root, host, heavy = sys.argv[1:3] + [json.loads(sys.argv.pop(3))]
sys.argv = ["main.py", "--cpu"]
sys.path.insert(0, host)
from comfy import options
options.enable_args_parsing()
import utils.extra_config
import comfy.samplers, comfy.sd, server, folder_paths, latent_preview, comfy_api.latest
for name in heavy:
    for loaded in [m for m in sys.modules if m == name or m.startswith(name + ".")]:
        del sys.modules[loaded]
    sys.modules[name] = None
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("pack", root + "/__init__.py", submodule_search_locations=[root])
pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
async def load():
    return await (await pack.comfy_entrypoint()).get_node_list()
nodes = asyncio.run(load())
new = [m.split(".") for m in set(sys.modules) - before]
modules = [m for m in new if m[0] == "pack" and len(m) > 2 and not hasattr(sys.modules[".".join(m)], "__path__")]
others, rooms = {m[0] for m in new} - {"pack"}, {m[1] for m in modules}
print(json.dumps({"nodes": len(nodes), "others": sorted(others), "rooms": sorted(rooms)}))
"""


def test_the_pack_loads_with_what_the_host_has_loaded_and_leaves_the_rooms_that_work_in_a_run(server):
    """Imported in a fresh process, as the host would, with everything heavy out of reach."""
    command = [sys.executable, "-c", SCRIPT, str(ROOT), str(HOST), json.dumps(HEAVY)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    start = json.loads(ended.stdout.splitlines()[-1])
    assert start["nodes"] > 0
    assert start["others"] == []
    assert start["rooms"] == ["files", "guidance", "host", "nodes"], "the first has the names of places"
    log = server.log.read_text(encoding="utf-8", errors="replace")
    assert server.pack in log
    assert "IMPORT FAILED): " not in log
