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
from guidance_geometry.tests.project import ROOT

DOCS = ROOT / "docs"
PICTURES = sorted(file for file in DOCS.rglob("*") if file.suffix in {".png", ".webp", ".jpg"})


def test_the_index_links_every_page():
    """Of docs/, with the pages in its folders, exported runs and example scripts."""
    pages = {str(file.relative_to(DOCS)) for ending in ("md", "html", "py") for file in DOCS.rglob(f"*.{ending}")}
    assert (
        pages - {"README.md"} - set(re.findall(r"\]\(([^)#]+)", (DOCS / "README.md").read_text(encoding="utf-8")))
        == set()
    )


def test_pictures_carry_no_graph():
    for file in PICTURES:
        with Image.open(file) as picture:
            assert not {"workflow", "prompt"} & set(picture.info), file
            assert not picture.getexif(), file


def test_the_film_of_readme_is_short_small_and_sharp():
    assert FILM.name in (ROOT / "README.md").read_text(encoding="utf-8")
    assert FILM.stat().st_size <= 600_000
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
