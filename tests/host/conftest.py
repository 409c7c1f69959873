import sys
from types import SimpleNamespace

import pytest
import torch

from guidance_geometry.tests.traces import exact_trace

WORKFLOW = "1234"
PROMPT = {"4": {"class_type": "KSampler", "_meta": {"title": "My sampler"}, "inputs": {}}}


@pytest.fixture(scope="session", autouse=True)
def in_the_host(host):
    """Every test of this room has the host beside it."""


@pytest.fixture(autouse=True)
def inference_mode():
    """Nodes run under inference mode in the host's executor."""
    with torch.inference_mode():
        yield


@pytest.fixture(autouse=True)
def nothing_hidden(request, caplog):
    """A recorder that fails is silent to its run, but not to us: only the tests of faults may have any."""
    yield
    faulty = ("test_afterwards", "test_recording_never_stops", "test_run_store", "test_view_node")
    if request.module.__name__.rpartition(".")[2] not in faulty:
        assert not [line.getMessage() for line in caplog.get_records("call") if "record of a run" in line.getMessage()]


class Labelled(dict):
    """name -> MODEL, positive, negative, made when first asked for: the demo denoiser, and exact mixtures."""

    def __missing__(self, name):
        from guidance_geometry.nodes.lab import GGMixtureModel
        from guidance_geometry.nodes.start import GGClassLabel, GGLoadDenoiser

        with torch.inference_mode():
            if name == "pocket":
                model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default")[0]
            else:
                model = GGMixtureModel.execute(shape="3x8x8", classes=3, kind=name, seed=0)[0]
            self[name] = (model, *GGClassLabel.execute(model, "0;1;2").args)
        return self[name]


@pytest.fixture(scope="session")
def labelled(host):
    """name (pocket, ve, flow) -> MODEL, positive, negative with labels 0, 1, 2 for the images of a batch."""
    return Labelled()


SIZES = {"ve": 8, "flow": 8, "pocket": 16}


@pytest.fixture(scope="session")
def empty_latent():
    """name, batch -> an empty LATENT that the model of this name takes."""
    return lambda name, batch=3: {"samples": torch.zeros(batch, 3, SIZES[name], SIZES[name])}


@pytest.fixture(scope="session")
def pocket(host):
    """weight dtype -> the demo denoiser and twice its null label."""
    from guidance_geometry.nodes.start import GGClassLabel, GGLoadDenoiser

    def load(dtype="default"):
        with torch.inference_mode():
            model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", dtype)[0]
            null = GGClassLabel.execute(model, "")[0]
        return model, null, null

    return load


@pytest.fixture
def output(host, tmp_path, monkeypatch):
    """The host's folders, empty and ours for one test."""
    import folder_paths

    for name in ("output", "input", "temp"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return tmp_path / "output"


@pytest.fixture
def denoisers(host, tmp_path):
    """A folder of the host's type `denoisers`, which is looked into anew after each file."""
    import folder_paths

    from guidance_geometry.nodes.start import FOLDER

    folder_paths.add_model_folder_path(FOLDER, str(tmp_path))
    folder_paths.filename_list_cache.pop(FOLDER, None)
    yield tmp_path
    folder_paths.folder_names_and_paths[FOLDER][0].remove(str(tmp_path))
    folder_paths.filename_list_cache.pop(FOLDER, None)


@pytest.fixture(scope="module")
def trace():
    """A short exact run."""
    return exact_trace(4.0, batch=2, steps=6)


@pytest.fixture(scope="module")
def wires(labelled):
    """name of a model -> what its rules' sockets take: another model that answers worse, and a further condition."""
    from guidance_geometry.nodes.lab import GGMixtureModel
    from guidance_geometry.nodes.start import GGClassLabel, GGLoadDenoiser

    found = {}
    with torch.inference_mode():
        for name in ("pocket", "ve", "flow"):
            if name == "pocket":
                worse = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default")[0]
                key, weight = max(worse.model.state_dict().items(), key=lambda entry: entry[1].numel())
                assert worse.add_patches({key: ("diff", (-0.5 * weight,))})
            else:
                worse = GGMixtureModel.execute(shape="3x8x8", classes=3, kind=name, seed=5)[0]
            found[name] = {"MODEL": worse, "CONDITIONING": GGClassLabel.execute(labelled[name][0], "1")[0]}
    return found


@pytest.fixture(scope="session")
def exact(host):
    """space -> MODEL and twice its null label, the energy of labels 0, 1, 2, the mixture."""
    from guidance_geometry.guidance.energies.label import LabelEnergy
    from guidance_geometry.nodes.lab import GGMixtureModel
    from guidance_geometry.nodes.start import GGClassLabel

    made = {}
    for space in ("ve", "flow"):
        with torch.inference_mode():
            model, classifier = GGMixtureModel.execute(shape="3x8x8", classes=3, kind=space, seed=0).args
            null = GGClassLabel.execute(model, "")[0]
        made[space] = (model, null, null), LabelEnergy(classifier, ((0,), (1,), (2,))), classifier.mixture
    return made


@pytest.fixture
def job(host, monkeypatch, tmp_path):
    """Node 4 of a job that wants records runs; the store is empty."""
    import folder_paths
    from comfy_execution.utils import CurrentNodeContext

    from guidance_geometry.host.editor import run_store

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    monkeypatch.setattr(run_store, "STORE", run_store.RunStore())
    extra = {"client_id": "tab", "guidance_geometry": {"record": True}}
    extra |= {"extra_pnginfo": {"workflow": {"id": WORKFLOW}}}
    messages, prompt = [], dict(PROMPT)
    queue = SimpleNamespace(currently_running={0: (0, "job", prompt, extra, [])})
    server = SimpleNamespace(prompt_queue=queue, client_id="tab", sockets={"tab": None}, extra=extra, prompt=prompt)
    server.messages, server.send_sync = messages, lambda *message: messages.append(message)
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=server)))
    monkeypatch.setattr("guidance_geometry.host.editor.jobs.display_of", lambda node: node)
    with CurrentNodeContext("job", "4"):
        yield server
    run_store.STORE.wait_for_runs()
