"""The pages for readers: every picture is small, in use, and without the graph that made it.

That every link and every anchor leads somewhere is held by the site's strict build, a part of `dev.py test`.
"""

import re
import shutil

import pytest
from PIL import Image, ImageSequence

from guidance_geometry.figures import MENU
from guidance_geometry.figures.registry import FIGURES
from guidance_geometry.lab import markdown
from guidance_geometry.lab.studies import gallery
from guidance_geometry.lab.studies.tab_film import CLIP, FILM, SCALE
from guidance_geometry.tests.plain_words import stumbles
from guidance_geometry.tests.project import PROJECT, ROOT

DOCS = ROOT / "docs"
REPOSITORY = PROJECT["project"]["urls"]["Repository"]
PAGES = sorted(DOCS.glob("*.md"))
PICTURES = sorted(file for file in DOCS.rglob("*") if file.suffix in {".png", ".webp", ".jpg"})
LARGEST_FILM = 600_000  # of README


def links_of(page):
    return re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))


def test_the_index_links_every_page():
    """Of docs/, with the pages in its folders, exported runs and example scripts."""
    pages = {str(file.relative_to(DOCS)) for ending in ("md", "html", "py") for file in DOCS.rglob(f"*.{ending}")}
    assert pages - {"README.md"} - set(links_of(DOCS / "README.md")) == set()


FOR_PROGRAMS = {"library.md", "agents/SKILL.md", "verdict-card.md", "trace-format.md", "citing.md"}


def test_someone_who_knows_only_ksampler_reads_every_page_of_start_and_use():
    """But for what a page keeps for researchers, at its end, and for what only programs and papers need."""
    parts = (DOCS / "README.md").read_text(encoding="utf-8").split("## Start\n")[1].split("\n## Understand")[0]
    pages = {*re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", parts, re.MULTILINE)}
    assert pages > FOR_PROGRAMS
    wanted = pages - FOR_PROGRAMS
    texts = {page: (DOCS / page).read_text(encoding="utf-8").split("## For researchers")[0] for page in wanted}
    assert len(texts) >= 8
    assert {page: hard for page, text in texts.items() if (hard := stumbles(text))} == {}


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.name)
def test_pictures_carry_no_graph(file):
    with Image.open(file) as picture:
        assert not {"workflow", "prompt"} & set(picture.info)
        assert not picture.getexif()


def test_the_film_of_readme_is_short_small_and_sharp():
    assert FILM.name in (ROOT / "README.md").read_text(encoding="utf-8")
    assert FILM.stat().st_size <= LARGEST_FILM
    with Image.open(FILM) as film:
        assert film.size == (CLIP["width"] * SCALE, CLIP["height"] * SCALE)
        assert len(list(ImageSequence.Iterator(film))) > 40
        assert film.info["loop"] == 0


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on the path")
def test_the_gallery_shows_every_figure_and_every_view():
    page = gallery.PAGE.read_text(encoding="utf-8")
    assert page.partition("\n## ")[2] == markdown.page(*gallery.blocks()).removeprefix("## ")
    assert set(gallery.SHOWN) <= set(MENU)
    assert all(figure.alt for figure in FIGURES)
    shown = [gallery.file_of(word) for word in gallery.SHOWN]
    shown += [gallery.view_file(view, palette) for view in gallery.views() for palette in gallery.PALETTES]
    assert len([file for file in shown if file.exists()]) >= 39
