"""What a published network's forward takes is what the host is told, measured by following every tensor."""

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from guidance_geometry.models.denoisers.reading import denoiser_of
from guidance_geometry.tests.flow_files import flow_weights
from guidance_geometry.tests.models.denoisers.networks import network_of, pictures
from guidance_geometry.tests.tiny_networks import NETWORKS

KINDS = NETWORKS | {"pocket flow": flow_weights}


class Peak(TorchDispatchMode):
    """The most bytes that tensors made inside held at once."""

    def __init__(self):
        super().__init__()
        self.alive, self.most = {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in (leaf for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)):
            storage = tensor.untyped_storage()
            if storage._cdata not in self.alive:
                self.alive[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self.alive.pop, storage._cdata, None)
        self.most = max(self.most, sum(self.alive.values()))
        return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_forward_takes_no_more_than_is_told_and_not_much_less(kind):
    file = denoiser_of("a", KINDS[kind](), None)
    network, spec = network_of(file), file.spec
    x, t, y = pictures(2, spec.shape[0], 64), torch.zeros(2), torch.tensor([1, 2])
    network(x, t, y)
    with Peak() as peak:
        network(x, t, y)
    told = spec.format.memory(spec.sizes, 2, 64 * 64)
    assert 0.3 * told <= peak.most <= 1.2 * told
