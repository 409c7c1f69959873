"""The recipes of CONTRIBUTING.md as a program follows them: files to create, and lines to add to others."""

import re
import subprocess
import sys
from dataclasses import dataclass

HEADING = re.compile(r"^## Recipe: (?P<name>.+)$")
CREATE = re.compile(r"^Create `(?P<path>[^`]+)`:$")
RUN = re.compile(r"^Run `\.venv/bin/python lab (?P<command>\w+)`, which writes `(?P<path>[^`]+)`")
ADD = re.compile(r"^In `(?P<path>[^`]+)`, (?P<where>below|above) the line `(?P<anchor>[^`]+)`, add:$")
FENCE = "```"


@dataclass(frozen=True)
class Change:
    """A file to create, lines to add below or above one line of a file that is there, or a command that writes one."""

    path: str
    text: str = ""
    anchor: str = ""
    where: str = ""
    command: str = ""

    def follow(self, root):
        """Make the change in a copy of the pack."""
        file = root / self.path
        if self.command:
            subprocess.run([sys.executable, root / "lab", self.command], check=True)
            return
        if not self.anchor:
            assert not file.exists(), f"{self.path} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.text, encoding="utf-8")
            return
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        (place,) = [i for i, line in enumerate(lines) if line.strip() == self.anchor]
        lines.insert(place + (self.where == "below"), self.text)
        file.write_text("".join(lines), encoding="utf-8")


def recipes(page: str) -> dict[str, list[Change]]:
    """{name of a recipe: its changes, in order}."""
    found, changes, lines = {}, [], iter(page.splitlines())
    for line in lines:
        if heading := HEADING.match(line):
            changes = found.setdefault(heading["name"], [])
        elif order := CREATE.match(line) or ADD.match(line):
            changes.append(Change(text=code_after(lines), **order.groupdict()))
        elif order := RUN.match(line):
            changes.append(Change(**order.groupdict()))
    return found


def code_after(lines) -> str:
    """The text of the next fenced block."""
    assert next(line for line in lines if line).startswith(FENCE), "an order is followed by a fenced block"
    text = ""
    while not (line := next(lines)).startswith(FENCE):
        text += line + "\n"
    return text
