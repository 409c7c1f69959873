"""What every guide must have: an input gradient that is there, and is the slope of what it says."""

import torch


def noise(shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def lively(network, seed=0, seen=None):
    """Random weights under which signals keep their size: normal with deviation 1/sqrt(fan in), norms near one.

    seen: images whose statistics batch norms are given, or signals fade on their way through many of them.
    """
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point() or "relative_coords" in name or "position_ids" in name:
                continue
            fresh = torch.randn(tensor.shape, generator=draws)
            if name.endswith("running_var"):
                tensor.copy_(1 + 0.1 * fresh.abs())
            elif tensor.ndim < 2:
                tensor.copy_(0.1 * fresh + (1 if name.endswith("weight") else 0))
            else:
                tensor.copy_(fresh / tensor[0].numel() ** 0.5)
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for module in norms if seen is not None else ():
            module.momentum = 1.0
        if norms and seen is not None:
            network.train()(seen)
    return network.eval().requires_grad_(False)


def slope_error(score, x, step=3e-3):
    """Relative error of the gradient of a score [B] against central differences along the gradient itself."""
    point = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(score(point).sum(), point)
    size = gradient.norm()
    assert size > 1e-6, f"the gradient is {size}"
    along = gradient / size
    with torch.no_grad():
        found = (score(x + step * along) - score(x - step * along)).double().sum() / (2 * step)
    return float((found - size).abs() / size)
