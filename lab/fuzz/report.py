"""The rates of a campaign in words: for the terminal, and for docs/performance.md."""

from __future__ import annotations

from .. import markdown
from .campaign import Campaign
from .verdicts import CLEAR, CODE, DEAD, HOST, MEMORY, OK, RAW, REFUSED, SLOW

COLUMNS = (REFUSED, OK, CLEAR, HOST, RAW, DEAD, MEMORY, SLOW, CODE)
HEADING = "Fuzzer"
TEXT = markdown.passages(__file__)


def report_text(campaign: Campaign) -> str:
    """The table, the extremes, the host's own errors, and every fault with the command that shows it again."""
    faults = [
        f"{verdict.kind}: {verdict.message}\n    at {verdict.place}\n    python3 dev.py fuzz --replay {path}"
        for path, verdict in campaign.faults.values()
    ]
    hosts = [f"host's error, {count} times: {words}" for words, count in campaign.of_the_host.most_common()]
    return "\n".join([table(campaign), "", extremes(campaign), "", *hosts, "", *(faults or ["no faults"])])


def write(campaign: Campaign, seed: int, minutes: float | None) -> None:
    """Keep it in docs/performance.md.  minutes: after which it was stopped"""
    stopped = "" if minutes is None else f", stopped after {minutes:g} minutes"
    words = TEXT["OPENING"].format(seed=seed, stopped=stopped)
    markdown.put_section(markdown.PERFORMANCE, HEADING, words, table(campaign), extremes(campaign))


def table(campaign: Campaign) -> str:
    """One row a kind of case: how many there were of what."""
    rows = []
    for kind, counts in sorted(campaign.counts.items()):
        tried = sum(counts.values())
        rows.append([f"{kind}s", f"{tried:,}", *(_share(counts[name], tried) for name in COLUMNS)])
    return markdown.table(" | ".join(["", "tried", *COLUMNS]), rows)


def _share(count: int, tried: int) -> str:
    return f"{count:,} ({100 * count / tried:.1f} %)" if count else "0"


def extremes(campaign: Campaign) -> str:
    """The slowest and the largest call, faults apart."""
    slowest, largest = campaign.slowest, campaign.largest / 2**20
    return f"The slowest call took {slowest:.1f} s; the largest took {largest:,.0f} MB more than the host had before."
