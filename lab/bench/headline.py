"""How soon the verdict stands on the screen: from the last step of a sampler to the frame that shows the headline.

Pocket, 20 steps, batch 8, in the editor of a real host in headless Chromium without a GPU: in the Guidance tab, which
records a graph without any node of the pack's panel, and in an inspector. The clock starts when the host's own event of
the last step arrives, and ends after the frame with the headline has been painted. Prints medians for
docs/performance.md, and fails above the limit.
"""

from __future__ import annotations

import statistics
import sys

from ...dev.browser import CHROMIUM, editor
from ...dev.hosts import own_host
from .. import markdown
from ..command_line import parser_of
from .harness import OPEN, WORKFLOW_ID, graph

LIMIT_MS = {"tab": 100.0, "inspector": 300.0}
TOGGLE = "() => app.extensionManager.command.execute('Workspace.ToggleBottomPanelTab.guidancegeometry.tab')"
SHOWN = """(place) => new Promise((done, failed) => {
  let last = null, fresh = false;
  const panel = () => document.querySelector(`${place} .gg-verdict`);
  const step = ({detail}) => { last = detail.value >= detail.max ? performance.now() : null; };
  app.api.addEventListener("progress", step);
  const over = (result) => { app.api.removeEventListener("progress", step); done(result); };
  const began = performance.now();
  const look = () => {
    const found = panel();
    if (!found?.checkVisibility()) fresh = true;  // a run that goes on, or has not begun, has no verdict
    else if (fresh && last !== null) return requestAnimationFrame(() => over([performance.now() - last,
      found.querySelector(".gg-headline").textContent]));
    if (performance.now() - began > 120000) return failed(`no verdict in ${place}`);
    requestAnimationFrame(look); };
  look();
  app.queuePrompt(0, 1); })"""
PLACES = {"tab": ".gg-tab", "inspector": ".gg-panel"}


def headline_delays(page, place: str, runs: int) -> list[float]:
    """Milliseconds from the last step to the headline, of runs with a seed of their own; the first does not count."""
    found = []
    for turn in range(runs + 1):
        prompt = graph(8, 20, None if place == "tab" else 8)
        page.evaluate(OPEN, [prompt, f"{WORKFLOW_ID[:-4]}{turn:02}{'0a' if place == 'tab' else '0b'}"])
        if place == "tab":
            _record(page, opened=turn > 0)
        else:
            page.wait_for_selector(PLACES[place])
        wait, headline = page.evaluate(SHOWN, PLACES[place])
        print(f"{place}: {wait:.0f} ms, {headline}", flush=True)
        found += [wait] if turn else []
    if place == "tab":
        page.evaluate(TOGGLE)  # its panel would stand before an inspector's
    return found


def _record(page, opened: bool) -> None:
    """Open the tab and switch recording on in the graph that is shown."""
    if not opened:
        page.evaluate(TOGGLE)
    # a switch that is on still belongs to the graph before, whose tab has not gone yet
    page.locator(".gg-tab .gg-switch input:not(:checked) >> visible=true").first.click(timeout=20000)
    page.wait_for_selector(".gg-tab .gg-verdict", state="hidden", timeout=20000)


def line_of(place: str, found: list[float]) -> tuple[str, bool]:
    """What was measured in a place, and whether the limit is passed."""
    middle = statistics.median(found)
    limit = LIMIT_MS[place]
    words = f"{place}: {middle:.0f} ms ({min(found):.0f} to {max(found):.0f}), limit {limit:.0f} ms"
    return f"{words} {'holds' if middle <= limit else 'passed'}", middle > limit


def main() -> int:
    """Measure, print, and fail when the limit is passed."""
    parser = parser_of(__doc__)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    if CHROMIUM is None:
        print("no Chromium on the path: nothing was measured")
        return 0
    with own_host(options.host, cpu=True) as server, editor(server.address) as page:
        lines = [line_of(place, headline_delays(page, place, options.runs)) for place in PLACES]
    print(markdown.bullets(line for line, _ in lines))
    return int(any(failed for _, failed in lines))


if __name__ == "__main__":
    sys.exit(main())
