"""Which evaluations of a sampler begin an outer step, and which are further stages of it.

Noise levels do not tell: the second stage of heun and the first evaluation of its next step share one. What tells is
where a sampler's callback stands among its evaluations. Those of the host report a step after its first evaluation, and
a few then evaluate again: FURTHER. Samplers of other packs, and dpm_adaptive, are taken to report once a step, after
all its stages; one that evaluates once a step is both. Of a sampler that does not report the levels are all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

Further = Callable[[int, int], int]  # index of a step, number of steps -> evaluations after its report


def _one(step: int, steps: int) -> int:
    return 1


def _two(step: int, steps: int) -> int:
    return 2


def _heunpp2(step: int, steps: int) -> int:
    return min(2, steps - 1 - step)


def _pece(step: int, steps: int) -> int:
    return min(1, step)


def _dpm_fast(step: int, steps: int) -> int:
    """Steps of order three, while the evaluations last: as many as the schedule has steps."""
    left = steps - 3 * step
    ends_in_two_and_one = steps % 3 == 0 and left == 3
    return 1 if ends_in_two_and_one else max(min(left, 3) - 1, 0)


FURTHER: dict[str, Further] = {
    "heun": _one,
    "dpm_2": _one,
    "dpm_2_ancestral": _one,
    "dpmpp_2s_ancestral": _one,
    "dpmpp_2s_ancestral_cfg_pp": _one,
    "dpmpp_sde": _one,
    "dpmpp_sde_gpu": _one,
    "exp_heun_2_x0": _one,
    "exp_heun_2_x0_sde": _one,
    "seeds_2": _one,
    "seeds_3": _two,
    "heunpp2": _heunpp2,
    "sa_solver_pece": _pece,
    "dpm_fast": _dpm_fast,
}
SAME_LEVEL = 1e-4  # relative difference below which two noise levels are one, rounded


def further_of(sampler: str, options: Mapping[str, Any]) -> Further | None:
    """Further stages of a sampler with these options; None where all come before the report, or there are none."""
    return FURTHER.get(f"{sampler}_pece" if sampler == "sa_solver" and options.get("use_pece") else sampler)


NOISY = (
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "dpm_2_ancestral",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "exp_heun_2_x0_sde",
    "ddpm",
    "lcm",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "gg_ddpm",
    "sample_lcm_upscale",
)
WITHOUT_ETA = ("ddpm", "lcm", "gg_ddpm", "sample_lcm_upscale")  # noisy also at eta 0, or without an eta
RENOISING = (
    "euler_cfg_pp",
    "dpmpp_2m_cfg_pp",
    "res_multistep_cfg_pp",
    "gradient_estimation_cfg_pp",
    "sample_euler_pp",
)
RENOISING_AT_ETA_0 = ("euler_ancestral_cfg_pp", "dpmpp_2s_ancestral_cfg_pp", "res_multistep_ancestral_cfg_pp")
REMEMBERING = (
    "lms",
    "dpmpp_2m",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "gradient_estimation",
    "sa_solver",
    "sa_solver_pece",
    "uni_pc",
    "uni_pc_bh2",
)
REMEMBERING_AT_ETA_0 = (
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "res_multistep_ancestral",
)
WAITING = (
    "euler",
    "heun",
    "heunpp2",
    "exp_heun_2_x0",
    "dpm_2",
    "dpm_fast",
    "dpm_adaptive",
    "gg_ddim",
)


def cannot_wait(sampler: str, options: Mapping[str, Any]) -> str:
    """Why a sampler cannot leave the sample where it is while D = x; empty if it can, or is not known.

    options: of the sampler, which make it noisy or take its noise away.
    """
    if is_noisy(sampler, options):
        return f"{sampler} moves the sample by its own noise"
    if sampler in (*RENOISING, *RENOISING_AT_ETA_0):
        return f"{sampler} moves the sample by the unconditional prediction, whatever D is"
    if sampler in (*REMEMBERING, *REMEMBERING_AT_ETA_0) or (sampler == "er_sde" and options.get("max_stage", 3) > 1):
        return f"{sampler} keeps D = x as history and carries it into the next steps"
    return ""


def is_noisy(sampler: str, options: Mapping[str, Any]) -> bool:
    """Whether a sampler moves by noise, or makes room for it: s_noise 0 leaves that room empty, the sample too small.

    With s_churn, and in dpm_adaptive, noise is added and no room made. er_sde makes none as an ODE, whose noise scaler
    is the identity.
    """
    if options.get("recurrence", 1) > 1 or sampler in WITHOUT_ETA:
        return True
    if sampler == "dpm_adaptive" or "s_churn" in options:
        return bool((options.get("s_churn") or options.get("eta")) and options.get("s_noise", 1.0))
    if sampler == "er_sde":
        scaler = options.get("noise_scaler")
        return scaler is None or bool(scaler(torch.tensor(2.0)) != 2 * scaler(torch.tensor(1.0)))  # as er_sde calls it
    return bool(options.get("eta", sampler in NOISY))


def zero_init_note(sampler: str, options: Mapping[str, Any]) -> str:
    """A sentence where zero-init does not hold with a sampler, or may not; empty where it does."""
    reason = cannot_wait(sampler, options)
    if reason:
        return f"Zero-init does not hold here: {reason}."
    if sampler in (*WAITING, *NOISY):
        return ""
    return f"Zero-init may not hold here: it is not known whether {sampler} leaves the sample alone while D = x."


@dataclass
class Stages:
    """Follows the evaluations and callbacks of one run.

    sampler: the host's name of it. sigmas: the schedule, noisiest first. options: the sampler's own.

    A sampler that has not reported yet may still do so after the stages of its first step, the last of which stands at
    the step's end. So it counts as silent once an evaluation lies below that end; then every evaluation at the end of a
    step, or below it, begins the next. The second evaluation of a silent run is thus taken for a stage of the first.
    """

    sampler: str
    sigmas: Sequence[float]
    options: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    waiting: int = 0  # further stages to come after the latest report
    begun: bool = False  # a step that has not been reported
    silent: bool = False  # evaluates on and on without a report
    end: float = 0.0  # noise level at which the step ends

    def begins(self, sigma: float) -> bool:
        """Note an evaluation at a noise level, and say whether it is the first of its outer step."""
        if self.waiting:
            self.waiting -= 1
            return False
        first = not self.begun or self._left_behind(sigma)
        if first:
            self.begun, self.end = True, max((s for s in self.sigmas if s < sigma * (1 - SAME_LEVEL)), default=0.0)
        return first

    def _left_behind(self, sigma: float) -> bool:
        """Whether a step is over that was not reported."""
        if self.step or self.sampler == "dpm_adaptive":  # it reports, or takes steps of its own
            return False
        self.silent = self.silent or sigma < self.end * (1 - SAME_LEVEL)
        return self.silent and sigma <= self.end * (1 + SAME_LEVEL)

    def reported(self) -> None:
        """Note the sampler's callback."""
        further = further_of(self.sampler, self.options)
        self.waiting = further(self.step, len(self.sigmas) - 1) if further else 0
        self.step, self.begun = self.step + 1, False
