"""The report on a run: is the scale too high, what should be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from .. import host, verdict
from .. import trace as traces
from ..guidance.energies.protocol import Energy
from ..host.editor.checks import CheckedNode
from ..host.editor.jobs import running_job
from ..host.editor.widgets import SEE, TRACE_IN, TRACE_OUT, VAE_IN
from ..host.editor.wires import EnergyWire, TraceWire

if TYPE_CHECKING:
    from ..trace.trace import Trace

NO_SCALE = "The report suggests no cfg: {}"
FAILED = "There is no report on this run: {}. Save the trace and report the fault; the log has all of it."
NO_RANGE = "There is no range of chosen cfg values: {}"


class GGReport(CheckedNode):
    """What a run says of its scale."""

    name = "Guidance Report (what to change)"
    search_words = ("burn", "cfg too high", "best cfg", "which cfg", "guidance scale", "advice", "verdict")
    category = SEE
    description = (
        "Says where cfg lies beside the values that you chose and on the curve of your model, and what to do. It also "
        "says where guidance acted, what could be left out, and what had no effect."
    )
    is_output_node = True
    inputs = (
        TRACE_IN,
        VAE_IN,
        EnergyWire.Input(
            "energy", optional=True, tooltip="A judge: the report says what it finds in the finished pictures."
        ),
        TraceWire.Input(
            "half",
            optional=True,
            tooltip="A run at half the cfg, same seed: is it the same picture (latents need the VAE for that), and how "
            "much is clipped?",
        ),
        io.Image.Input(
            "pictures",
            optional=True,
            tooltip="Pictures like those that the model learned from. With a VAE, the typical size of their values "
            "is measured once and kept for the model.",
        ),
    )
    outputs = (
        io.String.Output(display_name="report", tooltip="The report as text."),
        io.String.Output(display_name="json", tooltip="The same for scripts and agents."),
        io.Float.Output(
            display_name="cfg",
            tooltip="The cfg to take: the run's own where it is fine, or where guidance was off and nothing is "
            "known. Where no cfg is known, nodes wired to it do not run.",
        ),
        io.Float.Output(
            display_name="low",
            tooltip="Lower end of the range that was chosen. Where no range is known, nodes wired to it do not run.",
        ),
        io.Float.Output(display_name="high", tooltip="Upper end of the range that was chosen."),
        TRACE_OUT,
    )

    @classmethod
    def fingerprint_inputs(cls, **given) -> str:
        return host.editor.knowledge.state_of_files()

    @classmethod
    def execute(
        cls,
        trace: Trace,
        vae: io.Vae.Type | None = None,
        energy: Energy | None = None,
        half: Trace | None = None,
        pictures: io.Image.Type | None = None,
    ) -> io.NodeOutput:
        if pictures is not None:
            host.editor.knowledge.keep_size(trace, vae, pictures)
        faults: list[str] = []
        with traces.faults.keep_out(faults.append, host.models.adapter.STOPS):
            judge = None if energy is None else host.recording.judging.ask_judge(trace, energy, vae, _judge_title())
            shown = host.models.trace_pictures.finished_pictures(vae, trace, half) if vae and half else None
            answer = host.editor.knowledge.make_report(trace, half, judge, shown=shown)
            text, score = answer.text(), judge_score(judge)
            as_text = traces.portable.ascii_json(answer.as_json() | ({"judge": score} if score else {}))
            ui: dict = {"text": [text]}
            if energy is not None and score:
                ui |= {"judge": [score["mean"]], "judge_name": [host.recording.judging.judge_name(energy)]}
            return io.NodeOutput(text, as_text, *scales_of(answer), trace, ui=ui)
        text = FAILED.format(*faults)
        return io.NodeOutput(text, "{}", *[ExecutionBlocker(text)] * 3, trace, ui={"text": [text]})


def _judge_title() -> str:
    job = running_job()
    return job.feeds("energy") if job else ""


def judge_score(judge: verdict.case.Judged | None) -> dict | None:
    """What a judge found in numbers: the mean of what is finite, and each; None where it found nothing."""
    if judge is None or judge.fault or not judge.log_prob.isfinite().any():
        return None
    return {
        "name": judge.name,
        "mean": float(judge.log_prob[judge.log_prob.isfinite()].mean()),
        "log_prob": judge.log_prob.tolist(),
    }


def scales_of(report: verdict.report.Report) -> list:
    """The cfg to take and both ends of its range; in the place of one that nobody knows, a stop that says why.

    Where the report is about another knob, nothing is known of cfg but that the run's own may stay.
    """
    answer, why = report.answer, report.answer.headline.text()
    of_cfg = report.knobs[0].kind == verdict.picks.CFG
    current = report.cfg if answer.colour in (verdict.report.FINE, verdict.report.OFF) else None
    cfg = current if answer.suggested is None or not of_cfg else answer.suggested
    low, high = (answer.range if of_cfg else None) or [ExecutionBlocker(NO_RANGE.format(why))] * 2
    return [ExecutionBlocker(NO_SCALE.format(why)) if cfg is None else cfg, low, high]
