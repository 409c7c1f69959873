import gc
import importlib.util
import os
import runpy
import sys
from functools import cache
from pathlib import Path

import hypothesis
import pytest

# Before torch is imported; for our servers too: threads that wait for each other make a small network much slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch

ROOT = Path(__file__).resolve().parent
HOST = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI")
NO_HOST = "no ComfyUI host: run `python3 dev.py test`, or set COMFYUI_PATH"


def name_the_pack():
    """Register the root as a package; our folder `nodes` must never answer for the host's module `nodes`."""
    runpy.run_path(str(ROOT / "__main__.py"))["name_the_pack"]()
    if HOST.is_dir():
        sys.path.insert(0, str(HOST))


class PlainRoot:
    """Collect the root as a plain folder; as a package of tests its __init__.py would be imported."""

    @staticmethod
    def pytest_collect_directory(path, parent):
        return pytest.Dir.from_parent(parent, path=path) if path.resolve() == ROOT else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    from guidance_geometry.tests.skips import fail_for_a_missing_tool

    outcome = yield
    fail_for_a_missing_tool(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report():
    from guidance_geometry.tests.skips import fail_for_a_missing_tool

    outcome = yield
    fail_for_a_missing_tool(outcome.get_result())


def pytest_runtest_teardown():
    """The command tells hosts of rules in files by its environment: no test leaves that to the next one."""
    os.environ.pop("GG_RULE_FILES", None)


class WithoutHost(pytest.Module):
    """A file of tests/host where there is no host: none of it is imported."""

    def collect(self):
        pytest.skip(NO_HOST)


def pytest_pycollect_makemodule(module_path, parent):
    """What stands in tests/host imports the host at its top."""
    if module_path.parent != ROOT / "tests" / "host":
        return None
    if not HAS_HOST:
        return WithoutHost.from_parent(parent, path=module_path)
    enter_host()
    return None


@pytest.fixture(scope="session")
def host():
    """Skip when there is no host; otherwise fix its device before anything else of it is imported."""
    if not HAS_HOST:
        pytest.skip(NO_HOST)
    return enter_host()


@cache
def enter_host():
    """The host in this process, on the device that there is."""
    from comfy import options

    options.enable_args_parsing(False)
    from comfy import cli_args

    cli_args.args.cpu = not torch.cuda.is_available()
    sys.argv = sys.argv[:1]
    import comfy.model_management

    return comfy


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests of a process: its loop runs until the end, and there can be no second."""
    from guidance_geometry.dev.browser import CHROMIUM, chromium

    if CHROMIUM is None:
        pytest.skip("no Chromium on the path")
    pytest.importorskip("playwright", reason="playwright is not installed")
    with chromium() as one:
        yield one


def pytest_runtest_setup():
    """Let go of models whose patcher went with its test: while one is loaded, every run looks through all memory."""
    if management := sys.modules.get("comfy.model_management"):
        loaded = management.current_loaded_models
        loaded[:] = [one for one in loaded if not one.is_dead()]


def pytest_collection_finish():
    """What thousands of tests hold stays: the host looks through all memory whenever a model has gone."""
    gc.collect()
    gc.freeze()


def pytest_configure(config):
    config.pluginmanager.register(PlainRoot(), "plain-root")


hypothesis.settings.register_profile("busy machine", deadline=None)  # how long an example takes says nothing here
hypothesis.settings.load_profile("busy machine")
pytest.register_assert_rewrite("guidance_geometry.tests")
name_the_pack()
HAS_HOST = importlib.util.find_spec("comfy") is not None
