"""Every kind of file that the pack reads: how, a sound one, and the names of the claims that its table knows."""

import json
import shutil

import torch

from guidance_geometry.cli.page import page_of_run, page_of_sweep, record_of
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import draw_figure
from guidance_geometry.figures.table import as_csv
from guidance_geometry.files.notes import JSON, LIMITS
from guidance_geometry.models.classifiers.contract import CLAIMS
from guidance_geometry.models.classifiers.reading import open_classifier
from guidance_geometry.models.conversion.convert import convert
from guidance_geometry.models.denoisers.reading import read_denoiser
from guidance_geometry.models.denoisers.spec import choose_spec
from guidance_geometry.sweeps.plan import FIELDS
from guidance_geometry.sweeps.report import report_text
from guidance_geometry.sweeps.results import ROW, csv_of, read_results
from guidance_geometry.tests.claimed_files import (
    A_PLAN,
    A_SIZE,
    CELL,
    RESULTS,
    SOME_CURVES,
    SOME_PICKS,
    read_row,
    read_whole_plan,
    sweep_with,
)
from guidance_geometry.trace.file import HEADER, load
from guidance_geometry.verdict.measured import CURVE, read_curves
from guidance_geometry.verdict.measured import FILE as CURVES
from guidance_geometry.verdict.picks import FILE, PICK, read_picks
from guidance_geometry.verdict.size import CLAIMS as SIZE
from guidance_geometry.verdict.size import read_size

TABLES = {"gg.header": tuple(HEADER), **{f"gg.{key}": () for key in (*LIMITS, *JSON, *CLAIMS)}}  # of metadata
DOCUMENTS = {  # name of a file -> a sound one, and what may be said in it
    "plan.yaml": (A_PLAN, FIELDS),
    "curves.json": (SOME_CURVES, (*CURVES, *(f"curves.{name}" for name in CURVE))),
    "picks.json": (SOME_PICKS, (*FILE, *(f"picks.{name}" for name in PICK))),
    "size.json": (A_SIZE, tuple(SIZE)),
    "row.json": (json.loads(CELL.read_text(encoding="utf-8")), tuple(ROW)),
    "results.json": ({"plan": RESULTS["plan"], "rows": RESULTS["rows"][:2]}, ()),
    "probe.json": ({"features": "nobody", "labels": ["a", "b", "c"]}, tuple(CLAIMS)),
}


def read_tables(file):
    """The report, the table and the page of a sweep."""
    sweep = sweep_with(file, "results.json")
    plan, rows = read_results(sweep)
    report_text(rows, plan.every_axis)
    csv_of(rows)
    page_of_sweep(str(sweep))


def read_trace(file):
    """What shows a trace: its record, with the report, its table, a figure and its page."""
    trace = load(file)
    record_of(trace)
    as_csv(trace)
    draw_figure(Order(trace, None, None, "blog", "light", Pictures()), "step plane")
    page_of_run(file, file.with_suffix(".html"))


def read_and_show_curves(file):
    """What was measured of a model, with its numbers."""
    for curve in read_curves(file).curves:
        curve.as_json()


def read_claims_beside(file):
    """A classifier whose JSON beside it is this file."""
    shutil.copy(file.parent / "weights.safetensors", file.with_suffix(".safetensors"))
    open_classifier(file.with_suffix(".safetensors"))


@torch.no_grad()
def read_classifier(path):
    """A classifier, and its answer to a picture where it takes any."""
    classifier = open_classifier(path)
    if answer := getattr(classifier, "answer", None):
        answer(torch.zeros(1, 3, 32, 32))


def read_weights(path):
    """A denoiser and what it says of itself."""
    choose_spec(read_denoiser(path).spec)


def read_pickle(path):
    """Weights, turned into safetensors."""
    for file in convert(path, path.with_suffix(".safetensors"), force=True):
        file.unlink()


READINGS = {
    "plan.yaml": read_whole_plan,
    "curves.json": read_and_show_curves,
    "picks.json": read_picks,
    "size.json": read_size,
    "row.json": read_row,
    "results.json": read_tables,
    "probe.json": read_claims_beside,
    "traces": read_trace,
    "classifiers": read_classifier,
    "denoisers": read_weights,
    "pickles": read_pickle,
}
