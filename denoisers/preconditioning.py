"""How a raw network F becomes a denoiser D whose inputs and targets have unit size at every noise level."""

from __future__ import annotations

from torch import Tensor


def edm_coefficients(sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:  # sigma [B] -> three [B]
    """Weigh the noisy image against the network:  D(x) = c_skip * x + c_out * F(c_in * x, ln(sigma) / 4).

        c_skip = s^2 / (sigma^2 + s^2)    c_out = sigma * s / sqrt(sigma^2 + s^2)    c_in = 1 / sqrt(sigma^2 + s^2)

    sigma: noise level, > 0, any dtype (the result keeps it). sigma_data: s, standard deviation of the clean images.
    Source: Karras et al. 2022, arXiv 2206.00364, table 1.
    """
    total = sigma**2 + sigma_data**2
    c_skip = sigma_data**2 / total
    c_out = sigma * sigma_data / total.sqrt()
    c_in = 1 / total.sqrt()
    return c_skip, c_out, c_in
