"""The site of docs/: the help pages are in it, links out of docs/ lead somewhere, and what leads nowhere fails."""

import re
import shutil
import subprocess
import sys

import pytest

from guidance_geometry.tests.project import PROJECT, ROOT

REPOSITORY = PROJECT["project"]["urls"]["Repository"]
INDEX = """# Index

## Start

- [One](one.md): the first page, and [a script](examples/a.py).
- [Two](deep/two.md)

## Use

- [Three](three.md)
"""


@pytest.fixture
def build(tmp_path):
    """Build a project of given pages with the settings and the hooks of the site: (exit code, what was printed)."""

    def run(**pages):
        for part in ("dev/site_pages.py", "docs/site.css", "docs/registry/icon.png", "web/docs/GGFigure.md"):
            (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / part, tmp_path / part)
        shutil.copy(ROOT / "web" / "docs" / "GGFigure.webp", tmp_path / "web" / "docs")
        shutil.copy(ROOT / "mkdocs.yml", tmp_path)
        (tmp_path / "CONTRIBUTING.md").write_text("# Contributing\n", encoding="utf-8")
        texts = {
            "README": INDEX,
            "one": "# One\n",
            "deep/two": "# Two\n",
            "three": "# Three\n\n## A part: \u03b3, twice\n",
        }
        for name, text in {**texts, **pages}.items():
            place = tmp_path / "docs" / f"{name}.md"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        (tmp_path / "docs" / "examples").mkdir(exist_ok=True)
        (tmp_path / "docs" / "examples" / "a.py").write_text("", encoding="utf-8")
        command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def test_links_lead_to_the_site_where_it_has_the_file_and_to_the_repository_where_not(build, tmp_path):
    words = f"""# Two

[help](../../web/docs/GGFigure.md) [how](../../CONTRIBUTING.md#recipe) [script](../examples/a.py) [folder](../examples)
[part](../three.md#a-part-\u03b3-twice) [same]({REPOSITORY}/blob/main/docs/three.md#a-part-\u03b3-twice) [web](https://a.example/b.md)
"""
    code, printed = build(**{"deep/two": words})
    assert code == 0, printed
    page = (tmp_path / "output" / "site" / "deep" / "two.html").read_text(encoding="utf-8")
    body = page.partition("<article")[2].partition("</article>")[0]
    assert {name: link for link, name in re.findall(r'<a href="([^"]+)">(\w+)</a>', body)} == {
        "help": "../nodes/GGFigure.html",
        "how": f"{REPOSITORY}/blob/main/CONTRIBUTING.md#recipe",
        "script": f"{REPOSITORY}/blob/main/docs/examples/a.py",
        "folder": f"{REPOSITORY}/tree/main/docs/examples",
        "part": "../three.html#a-part-\u03b3-twice",
        "same": "../three.html#a-part-\u03b3-twice",
        "web": "https://a.example/b.md",
    }
    assert (tmp_path / "output" / "site" / "nodes" / "GGFigure.webp").exists()
    tabs = re.findall(r'md-tabs__link"[^>]*>\s*([^<]+?)\s*<', page)
    assert tabs == ["Home", "Start", "Use"]


MODEL_PAGE = (  # what the page that runs a model is made of
    *("__init__.py", "__main__.py", "pyproject.toml", "dev/__init__.py", "dev/explain_page.py", "dev/places.py"),
    *("figures/__init__.py", "figures/web_modules.py", "guidance/__init__.py", "guidance/on_demand.py"),
    *("assets/denoisers/pocket-flow-1.safetensors", "web/explain", "web/lib"),
)


def test_the_page_that_runs_a_model_is_built_without_torch_and_links_lead_to_it(build, tmp_path):
    for part in MODEL_PAGE:
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, tmp_path / part)
    own = PROJECT["project"]["urls"]["Repository"].replace("https://github.com/", "").split("/")
    address = f"https://{own[0]}.github.io/{own[1]}/guidance.html"
    assert address in (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0], "a reader sees it first"
    code, printed = build(**{"deep/two": f"# Two\n\n[there]({address}) [set]({address}#screen=3)\n"})
    assert code == 0, printed
    page = (tmp_path / "output" / "site" / "deep" / "two.html").read_text(encoding="utf-8")
    assert re.findall(r'<a href="([^"]+)">(?:there|set)</a>', page) == ["../guidance.html", "../guidance.html#screen=3"]
    made = (tmp_path / "output" / "site" / "guidance.html").read_bytes()
    assert 2_000_000 < len(made) < 3_000_000


def test_what_leads_nowhere_fails_the_build(build):
    """A page, an anchor, an address of the repository, a file outside of docs/; and a page that the index lacks."""
    gone = ("../gone.md", "../three.md#nowhere", f"{REPOSITORY}/blob/main/docs/lost.md", "../../lab/away.py")
    words = "\n".join(f"[gone]({link})" for link in gone)
    code, printed = build(**{"deep/two": f"# Two\n\n{words}\n", "four": "# Four\n"})
    assert code != 0
    assert [one for one in ("gone.md", "nowhere", "lost.md", "away.py", "four.md") if one not in printed] == []
