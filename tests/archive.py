"""What the registry's archive holds: as its tool packs it, out of what git tracks."""

import subprocess

import pytest

from .project import ROOT


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def tracked_files():
    """What git tracks, or is about to."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    return {file for file in git("ls-files", "--cached", "--others", "--exclude-standard") if (ROOT / file).is_file()}


def archived_files():
    """Those less what .comfyignore names."""
    ignored = git("ls-files", "--cached", "--others", "--ignored", f"--exclude-from={ROOT / '.comfyignore'}")
    return sorted(tracked_files() - set(ignored))
