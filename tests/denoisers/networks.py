"""Networks with weights that answer something, and how far two answers are apart."""

import torch


def lively(network, seed=0):
    """The network with small random weights everywhere, those that start at zero among them; nothing is trained."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in network.named_parameters():
        values = torch.randn(weight.shape, generator=generator) / max(1, weight[:1].numel()) ** 0.5
        one = weight.ndim == 1 and name.endswith("weight")  # of a normalisation
        weight.data = (values * 0.1 + 1 if one else values * 0.8).to(weight.dtype)
    return network.eval().requires_grad_(False)


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
