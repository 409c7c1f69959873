"""Whether a tag may be published: `python lab release v0.1.0` says what does not agree.  Standard library only."""

import re
import sys

from .places import ROOT, pack_version


def disagreements(tag: str, version: str, changelog: str) -> list[str]:
    """What differs between a tag, the version in pyproject.toml, and the first section of CHANGELOG.md."""
    first, *_ = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:] or [""]
    heading, _, lines = first.partition("\n")
    faults = []
    if tag != f"v{version}":
        faults.append(
            f"The tag is {tag}, the version in pyproject.toml {version}. Tag v{version}, or change the version."
        )
    if heading.split(" ")[0].strip("[]") != version:
        faults.append(f"CHANGELOG.md opens with {heading or 'nothing'!r}. Its first section must be of {version}.")
    elif "\n- " not in f"\n{lines}":
        faults.append(f"CHANGELOG.md says nothing of {version}. Add a line for each change that users see.")
    return faults


def main(tag: str) -> str:
    """An error's text, empty where all agree."""
    return "\n".join(disagreements(tag, pack_version(), (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "") or None)
