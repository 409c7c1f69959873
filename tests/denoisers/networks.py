"""Networks of checked files, what they are asked, and how far two answers are apart."""

import torch


def network_of(file):
    """The network of a checked file, ready to be asked."""
    network = file.spec.format.network(file.spec.sizes, len(file.spec.labels))
    network.load_state_dict(dict(file.weights))
    return network.requires_grad_(False)


def pictures(count, channels, side, seed=1):
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def distance(found, wanted):
    """The largest difference, in units of the largest value that was wanted."""
    assert found.shape == wanted.shape
    assert wanted.abs().max() > 1e-3, "an answer that says nothing"
    return float((found - wanted).abs().max() / wanted.abs().max())
