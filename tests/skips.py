"""Which skipped tests are honest in CI: those that ask for what this host or machine is not, never a missing tool.

A reason says why in its first words: "this host pages no weights", "this machine mounts nothing", "covered: ...". Any
other reason names something that the set-up should have installed, so under CI it is a failure.
"""

import os

HONEST = ("this host", "this machine", "this system", "covered:")


def in_ci() -> bool:
    """Whether the variable CI is set, as on the machines that run every change."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def fail_for_a_missing_tool(report) -> None:
    """Turn a skipped report of pytest into a failed one, in CI, where its reason is none of HONEST."""
    if not (in_ci() and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    words = reason.removeprefix("Skipped: ")
    if not words.startswith(HONEST):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped: {words}. In CI the set-up has to bring what a test needs."
