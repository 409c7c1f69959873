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
from guidance_geometry.lab.pages import example_study, gallery, run_figures
from guidance_geometry.tests.plain_words import stumbles
from guidance_geometry.tests.project import PROJECT, ROOT

DOCS = ROOT / "docs"
REPOSITORY = PROJECT["project"]["urls"]["Repository"]
PAGES = sorted(DOCS.glob("*.md"))
PICTURES = sorted(file for file in DOCS.rglob("*") if file.suffix in {".png", ".webp", ".jpg"})
LARGEST = 2_000_000  # bytes of all pictures together
LARGEST_PAGE = 360_000  # of an exported run or sweep, with the panel that draws it
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


def anchors_of(page):
    """Of its headings, as the page on the web has them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"\]\([^)]*\)", "", heading.lower()) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", ["README.md", "README.zh.md", "CONTRIBUTING.md"])
def test_a_link_into_a_page_leads_to_a_heading_of_it(page):
    """Of what the site does not have."""
    text = (ROOT / page).read_text(encoding="utf-8").replace(f"{REPOSITORY}/blob/main/", "")
    into = {(ROOT / (name or page), part) for name, part in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text)}
    assert [part for target, part in into if part not in anchors_of(target)] == []


def test_pictures_are_small_enough_for_a_clone():
    from guidance_geometry.lab.pages.tab_film import FILM

    assert sum(file.stat().st_size for file in PICTURES if file != FILM) <= LARGEST, "the film has a limit of its own"


@pytest.mark.parametrize("name", ["one-run.html", "example-sweep.html"])
def test_exported_pages_are_small_enough_too(name):
    assert (DOCS / name).stat().st_size <= LARGEST_PAGE


def test_the_example_is_of_the_plan_and_the_commands_that_it_shows():
    from guidance_geometry.sweeps.axes import count
    from guidance_geometry.sweeps.plan import read_plan

    section = markdown.section_in(example_study.REPORT, example_study.HEADING)
    report = section.split("```\n")[-2]
    assert section == markdown.page(f"## {example_study.HEADING}", *example_study.blocks(report))
    assert report.startswith(f"{count(read_plan(example_study.PLAN).every_axis)} cells, ")


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.name)
def test_pictures_carry_no_graph(file):
    with Image.open(file) as picture:
        assert not {"workflow", "prompt"} & set(picture.info)
        assert not picture.getexif()


def test_the_film_of_readme_is_short_small_and_sharp():
    from guidance_geometry.lab.pages.tab_film import CLIP, FILM, SCALE

    assert FILM.name in (ROOT / "README.md").read_text(encoding="utf-8")
    assert FILM.stat().st_size <= LARGEST_FILM
    with Image.open(FILM) as film:
        assert film.size == (CLIP["width"] * SCALE, CLIP["height"] * SCALE)
        assert len(list(ImageSequence.Iterator(film))) > 40
        assert film.info["loop"] == 0


def test_no_figure_lies_about_unused():
    words = "".join(page.read_text(encoding="utf-8") for page in (*PAGES, ROOT / "README.md"))
    assert [file.name for file in (DOCS / "figures").iterdir() if file.name not in words] == []


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on the path")
def test_the_gallery_shows_every_figure_and_every_view():
    page = gallery.PAGE.read_text(encoding="utf-8")
    assert page == markdown.page(*gallery.page_blocks())
    assert set(gallery.SHOWN) <= set(MENU)
    assert all(figure.alt for figure in FIGURES)
    shown = [run_figures.file_of(word) for word in gallery.SHOWN]
    shown += [gallery.view_file(view, palette) for view in gallery.views() for palette in gallery.PALETTES]
    assert [file.name for file in shown if file.exists() and f"(figures/{file.name})" not in page] == []
    assert len([file for file in shown if file.exists()]) >= 39


def rows_of(page, heading):
    """The cells of the first table under a heading, or at the top."""
    _, _, words = (DOCS / page).read_text(encoding="utf-8").partition(heading)
    lines = words[words.index("| ") :].split("\n\n")[0].splitlines()
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def test_the_measured_evaluations_reach_what_the_project_promises():
    from guidance_geometry.guidance.gradients.term import MEASURED
    from guidance_geometry.lab.bench.classifier_guidance import REACHED

    accuracy = {}
    for evaluation, gamma, _, _, reached, *_ in rows_of("classifier-guidance.md", "# Classifier guidance, measured"):
        accuracy[evaluation, float(gamma)] = float(reached.split(" ")[0])
    for evaluation, least in REACHED.items():
        assert accuracy[evaluation, MEASURED[evaluation]] >= least, "what the node suggests"


def test_the_measured_costs_are_what_the_project_promises():
    for _, evaluation, batch, *_, whole, apart in rows_of("classifier-guidance.md", "## Time"):
        most = {"x0 + backprop": (2.6, whole), "x0 + backprop, computed twice": (3.4, whole), "x0": (1.2, apart)}
        if int(batch) >= 16 and evaluation in most:
            limit, found = most[evaluation]
            assert float(found.strip("*")) <= limit
    for *_, ratio, _ in rows_of("classifier-guidance.md", "## Memory"):
        assert float(ratio) >= 0.75, "a step that takes more than was reckoned may end the process"
        assert float(ratio) <= 1.25, "what would fit is refused"


def stands_in(page, words):
    """Whether a page has these words, with something short in the place of every field."""
    parts = map(re.escape, re.split(r"\{[^{}]*\}", words))
    return re.search(".{0,300}?".join(parts), page, re.DOTALL) is not None


@pytest.mark.parametrize("room", ["pages", "verdict"])
def test_every_passage_beside_a_program_stands_in_a_page(room):
    """Words that were mended beside their program are on its page, whose numbers nobody need measure again for that."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    beside = [file for file in (ROOT / "lab" / room).glob("*.md") if "<!-- " in file.read_text(encoding="utf-8")]
    passages = {(file.stem, name): words for file in beside for name, words in markdown.passages(str(file)).items()}
    assert len(passages) > 5
    assert [one for one, words in passages.items() if not any(stands_in(text, words) for text in texts)] == []
