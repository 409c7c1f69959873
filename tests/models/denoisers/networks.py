"""Networks of checked files, what they are asked, and how far two answers are apart."""

from typing import Any

import torch


def network_of(file):
    """The network of a checked file, ready to be asked."""
    network = file.spec.format.network(file.spec.sizes, len(file.spec.labels))
    network.load_state_dict(dict(file.weights))
    return network.requires_grad_(False)


def pictures(count, channels, side, seed=1):
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def assert_alone(network, x):
    """An item alone gives what it gives in a batch, up to the order of float32 sums."""
    t, y = torch.linspace(-1.5, 1.1, len(x)), torch.arange(len(x))
    batch = network(x, t, y)
    for i in range(len(x)):
        alone = network(x[i : i + 1], t[i : i + 1], y[i : i + 1])
        assert (alone - batch[i : i + 1]).abs().max() <= 1e-5 * batch.abs().max()


def distance(found, wanted):
    """The largest difference, in units of the largest value that was wanted."""
    assert found.shape == wanted.shape
    assert wanted.abs().max() > 1e-3, "an answer that says nothing"
    return float((found - wanted).abs().max() / wanted.abs().max())


def error(found, wanted):
    """The same of their lengths."""
    return float(((found - wanted).norm() / wanted.norm()).detach())


def shapes_of(network) -> Any:
    return {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
