"""Reads files as the pack's commands do, in a process of its own with a limit of time and memory.

As a program it answers each line {"kind", "path"} with a verdict. `Reader` is the other end of that pipe.
"""

import json
import resource
import runpy
import signal
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS, MOST_BYTES, LONGEST = 60, 2 << 30, 1000  # of one file; characters of a sentence


class Reader:
    """A process that reads; a fresh one where the last has died."""

    def __init__(self):
        self.process = None

    def read(self, kind, path):
        """The verdict on one file: its kind, and words."""
        if self.process is None or self.process.poll() is not None:
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            self.process = subprocess.Popen(
                [sys.executable, __file__], text=True, stdin=pipe, stdout=pipe, stderr=nothing
            )
        assert self.process.stdout
        print(json.dumps({"kind": kind, "path": str(path)}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else ["dead worker", f"exit code {self.process.wait()}"]

    def close(self):
        """End it."""
        if self.process:
            self.process.kill()
            self.process.communicate()


def main():
    """Answer until nobody asks."""
    pipe, sys.stdout = sys.stdout, sys.stderr
    runpy.run_path(str(ROOT / "__main__.py"))["name_the_pack"]()
    from guidance_geometry.tests.fuzz.readings import READINGS

    signal.signal(signal.SIGALRM, late)
    taken = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MOST_BYTES, taken + MOST_BYTES))
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(verdict_of(READINGS[asked["kind"]], Path(asked["path"]))), file=pipe, flush=True)


def late(*_):
    """End what takes too long."""
    raise LateError


class LateError(BaseException):
    """More than MOST_SECONDS have passed."""


def verdict_of(read, path):
    """What comes of reading one file: a sentence that the pack raised on purpose, or a fault."""
    from guidance_geometry.tests.fuzz.verdicts import CLEAR, MEMORY, OK, RAW, SLOW, Frame, is_meant

    signal.alarm(MOST_SECONDS)
    try:
        read(path)
        return [OK, ""]
    except LateError:
        return [SLOW, traceback.format_exc()[-LONGEST:]]
    except MemoryError:
        return [MEMORY, traceback.format_exc()[-LONGEST:]]
    except Exception as error:  # noqa: BLE001  whatever it is, it is judged
        frames = [Frame(one.filename, one.lineno or 0, one.name) for one in traceback.extract_tb(error.__traceback__)]
        meant = isinstance(error, OSError) or (isinstance(error, ValueError) and is_meant(frames, ROOT))
        if meant and 0 < len(str(error)) < LONGEST:
            return [CLEAR, str(error)]
        return [RAW, f"{type(error).__name__}: {str(error)[:200]} at {frames[-1]}"]
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    main()
