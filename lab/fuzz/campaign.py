"""Tries cases on a watched host, judges them, makes every new fault small and keeps it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import verdicts
from .cases import Case
from .catalogue import Catalogue
from .files import Files
from .shrinking import smallest
from .twins import twin_of
from .verdicts import HOST, Judge, Verdict
from .watched import Observed, Watched


@dataclass
class Campaign:
    """counts: kind of case -> verdict -> how many. faults: (kind, place) -> the smallest case and its verdict.

    of_the_host: its own errors -> how many. slowest, largest: seconds, and bytes taken, of a call without a fault.
    keep: the folder for reproductions. say: prints a line.
    """

    host: Watched
    judge: Judge
    catalogue: Catalogue
    keep: Path
    say: Callable[[str], None]
    counts: dict[str, Counter] = field(default_factory=dict)
    faults: dict[tuple[str, str], tuple[Path, Verdict]] = field(default_factory=dict)
    of_the_host: Counter = field(default_factory=Counter)
    slowest: float = 0.0
    largest: int = 0

    def try_case(self, case: Case) -> Verdict:
        """Try, judge and count; a fault that is new is made small and kept."""
        verdict = self.verdict_of(case)
        self.counts.setdefault(case.kind, Counter())[verdict.kind] += 1
        if verdict.kind == HOST:
            self.of_the_host[f"{verdict.message.splitlines()[0]} at {verdict.place}"] += 1
        if verdict.is_fault and (verdict.kind, verdict.place) not in self.faults:
            self.faults[verdict.kind, verdict.place] = self._keep_fault(case, verdict), verdict
        return verdict

    def verdict_of(self, case: Case) -> Verdict:
        """What comes of a case; a fault that the host has without this pack as well is the host's."""
        verdict, seen = self._try_case(case)
        if not verdict.is_fault:
            self.slowest, self.largest = max(self.slowest, seen.seconds), max(self.largest, seen.growth)
            return verdict
        twin = None if verdict.kind == verdicts.CODE else twin_of(case.prompt, self.catalogue)
        if twin and self._is_the_hosts(verdict, self._try_case(case.but(graph=twin, edits=[]))[0]):
            return Verdict(HOST, f"{verdict.kind}: {verdict.message}", verdict.place)
        return verdict

    def _is_the_hosts(self, verdict: Verdict, other: Verdict) -> bool:
        if verdict.kind == verdicts.RAW:
            return other.kind == HOST and other.place == verdict.place.split(" < ")[0]
        return other.kind == verdict.kind

    def _try_case(self, case: Case) -> tuple[Verdict, Observed]:
        with Files(self.host.place, case.files) as files:
            seen = self.host.run(case.prompt)
            ran = files.ran_code
        return Verdict(verdicts.CODE, "code inside a file was run") if ran else self.judge(seen), seen

    def _keep_fault(self, case: Case, verdict: Verdict) -> Path:
        def same(smaller: Case) -> bool:
            found, _ = self._try_case(smaller)
            return (found.kind, found.place) == (verdict.kind, verdict.place)

        costly = verdict.kind in (verdicts.SLOW, verdicts.MEMORY, verdicts.DEAD)
        small = smallest(case, same, self.catalogue, most=12 if costly else 60)
        mark = hashlib.sha256(f"{verdict.kind} {verdict.place} {verdict.message}".encode()).hexdigest()[:10]
        path = self.keep / f"{verdict.kind.replace(' ', '-')}-{mark}.json"
        small.save(path, verdict=verdict.kind, message=verdict.message, place=verdict.place)
        self.say(f"{verdict.kind}: {verdict.message}\n    at {verdict.place}\n    python3 dev.py fuzz --replay {path}")
        return path
