import shutil
import signal
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from guidance_geometry.dev.browser import page_in
from guidance_geometry.dev.hosts import HostFolder
from guidance_geometry.dev.provision import FRONT_ENDS, front_end
from guidance_geometry.tests.queue import steering, tab_steering
from guidance_geometry.tests.queue.prompts import HOST, ROOT

NEWEST = front_end(FRONT_ENDS[-1])
HALFWAY = "def halfway(u, c, x, gamma, sigma):\n    return c + (gamma - 1) / 2 * (c - u)\n"
KNOBBED = ROOT / "guidance" / "rules" / "rescale.py"  # a rule of a file whose fields are its knobs
NO_DEPRECATION = """{ let graphs;  // a warning about a call of this pack is an error, though warned of before
  Object.defineProperty(window, "LiteGraph", {configurable: true, get: () => graphs,
    set(one) { graphs = one; one.alwaysRepeatWarnings = true; }});
  const warn = console.warn, known = new Set();
  console.warn = (...said) => {
    const stack = /deprecat/i.test(said.join(" ")) ? new Error(said.join(" ")).stack : "";
    if (!stack) return warn.apply(console, said);
    if (stack.includes("/extensions/%s/") && !known.has(stack)) console.error(stack);
    known.add(stack); }; }"""


def host_folder(base):
    """The folders of a real ComfyUI, with this pack alone."""
    if not (HOST / "main.py").exists():
        pytest.skip("no ComfyUI host: run `python3 dev.py test`, or set COMFYUI_PATH")
    return HostFolder(base, HOST)


@contextmanager
def host_in(base, *more):
    """A real ComfyUI with folders of its own; its custom nodes are this pack, an example of another, and stand-ins.

    It was started with two rules in files: my_rule.py, which lies beside its log, and one of ours.
    """
    hosts = host_folder(base)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a terminated test run still ends its server
    beside_this = [Path(__file__).parent / name for name in ("stock_loaders.py", "pipe_pack.py")]
    for file in (ROOT / "tests" / "invariants" / "example_rule.py", *beside_this):
        shutil.copy(file, base / "custom_nodes")
    hosts.options += more
    (base / "my_rule.py").write_text(HALFWAY, encoding="ascii")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("GG_RULE_FILES", f"{base / 'my_rule.py'}:halfway\n{KNOBBED}:Rescale")
            live = stack.enter_context(hosts.start())
        yield live


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One real ComfyUI for all tests, with the newest editor where that is there."""
    newest = ("--front-end-root", str(NEWEST)) if (NEWEST / "index.html").exists() else ()
    with host_in(tmp_path_factory.mktemp("host"), *newest) as live:
        yield live


@contextmanager
def editor_page(browser, live):
    """The editor of a host; what its console complains about is kept."""
    with page_in(browser, live.address, script=NO_DEPRECATION % live.pack) as page:
        page.live, page.complaints = live, []
        page.set_default_timeout(12000)
        page.on("console", lambda line: page.complaints.append(line) if line.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(error))
        yield page


@pytest.fixture(scope="session")
def editor(browser, server):
    """The newest editor, with nodes on the canvas: one page for all tests. test_archive.py has the others."""
    with editor_page(browser, server) as page:
        yield page


@contextmanager
def nodes_2(page):
    """An editor with Nodes 2.0 for a while."""
    page.evaluate(steering.NODES_2, True)
    yield page
    page.evaluate(steering.NODES_2, False)


@pytest.fixture(scope="module")
def inspected(editor):
    """The editor with a graph that has run once; its console must be clean in the end."""
    steering.start(editor)
    yield editor
    steering.clean(editor)


@pytest.fixture
def page(inspected):
    """The same, with another such graph where the test before left something else."""
    if not inspected.evaluate(steering.SHOWS_A_RUN):
        steering.start(inspected)
        steering.choose(inspected, "plane")
    return inspected


@pytest.fixture(scope="module")
def tabbed(editor):
    """The editor with a graph of the host's own; its console must be clean in the end, and the tab closed."""
    tab_steering.load(editor, tab_steering.sampled())
    yield editor
    tab_steering.close_below(editor)
    steering.clean(editor)


@pytest.fixture
def tab(tabbed):
    """The same in a large window with the tab open below alone, whatever the test before left."""
    tabbed.set_viewport_size({"width": 1440, "height": 900})
    if tabbed.evaluate("() => app.extensionManager.sidebarTab.activeSidebarTabId"):
        tabbed.evaluate(tab_steering.TOGGLE, tab_steering.SIDE)
    tab_steering.open_below(tabbed)
    return tabbed


@pytest.fixture
def client(server):
    """A client of that server; the test must leave the server healthy, or the next one fails here."""
    from guidance_geometry.sweeps.comfyui.client import Client

    with Client(server.address) as one:
        yield one
        one.forget()  # an editor reads the whole history, and a NaN in one prompt would end that
