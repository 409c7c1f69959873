"""What the site has beside docs/: navigation, the page that runs a model, help pages of the nodes, links out of docs/.

mkdocs.yml names this file, and mkdocs calls its functions by their names. docs/ stays as it reads on GitHub.
"""

from __future__ import annotations

import importlib
import logging
import posixpath
import re
import runpy
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
LOG = logging.getLogger("mkdocs.hooks")  # with `strict`, a warning fails the build
HELP = "nodes"  # the folder of the site that has web/docs/
MODEL_PAGE = "guidance.html"
OF_THE_SITE = {".md", ".html", ".webp", ".png"}  # all else is read in the repository
LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")


def on_config(config: Any) -> Any:
    """Make the navigation of the index: a tab for each heading, an entry for each page that stands under it."""
    index = (Path(config.docs_dir) / "README.md").read_text(encoding="utf-8")
    config.nav = [{"Home": "README.md"}, *navigation(index)]
    return config


def navigation(index: str) -> list[dict[str, list[dict[str, str]]]]:
    """The parts of an index, each with its pages.  An entry is a list's first link, of a page in the same folder."""
    parts = re.split(r"^## (.+)$", index, flags=re.MULTILINE)[1:]
    entries = [re.findall(r"^- \[([^\]]+)\]\(([^)#:]+\.md)\)", part, re.MULTILINE) for part in parts[1::2]]
    return [{title: [{name: page} for name, page in pages]} for title, pages in zip(parts[::2], entries, strict=True)]


def on_files(files: Files, config: Any) -> Files:
    """Add the page that runs a model, and the help pages; they are reached by links and by the search."""
    if (ROOT / "web" / "explain").is_dir():
        files.append(File.generated(config, MODEL_PAGE, content=model_page(), inclusion=InclusionLevel.NOT_IN_NAV))
    for file in sorted((ROOT / "web" / "docs").iterdir()):
        if file.suffix in OF_THE_SITE:
            place = f"{HELP}/{file.name}"
            files.append(File.generated(config, place, abs_src_path=str(file), inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def model_page() -> str:
    """The page as text."""
    runpy.run_path(str(ROOT / "__main__.py"))["name_the_pack"]()
    return importlib.import_module("guidance_geometry.dev.explain_page").explain_page()


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead each link to the page of the site that shows its file, else to the file in the repository."""
    if page.is_homepage:  # it is the contents itself
        page.meta["hide"] = ["navigation"]
    source = f"web/docs/{page.file.name}.md" if page.file.generated_by else f"docs/{page.file.src_uri}"
    own = f"{config.site_url}{MODEL_PAGE}"  # as it is read outside of the site

    def there(link: re.Match[str]) -> str:
        if link[0].partition("#")[0] == own:
            return posixpath.relpath(MODEL_PAGE, posixpath.dirname(page.file.src_uri) or ".") + link[0][len(own) :]
        return lead(link[0], source, page.file.src_uri, config.repo_url)

    return LINK.sub(there, markdown)


def lead(link: str, source: str, place: str, repository: str) -> str:
    """Where a link of a page leads.  source: the page's file in the repository; place: the same on the site.

    What is in neither stays as it is; of an address in the repository a warning says so, of all else mkdocs does.
    """
    own = f"{repository}/blob/main/"
    path, mark, anchor = link.removeprefix(own).partition("#")
    if not path or ("://" in link and not link.startswith(own)) or link.startswith("mailto:"):
        return link
    file = path if link.startswith(own) else posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / file).exists():
        if link.startswith(own):
            LOG.warning("%s links %s, which is not in the repository.", source, link)
        return link
    there = place_on_site(file)
    if there:
        return posixpath.relpath(there, posixpath.dirname(place) or ".") + mark + anchor
    kind = "tree" if (ROOT / file).is_dir() else "blob"
    return f"{repository}/{kind}/main/{file}{mark}{anchor}"


def place_on_site(file: str) -> str:
    """Where the site has a file of the repository; empty where it has not."""
    folder, name = posixpath.split(file)
    if posixpath.splitext(name)[1] not in OF_THE_SITE:
        return ""
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    return f"{HELP}/{name}" if folder == "web/docs" else ""
