"""The make-believe Mac refuses what a real one refuses, gives what a real one gives, and ends with its context."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import Conv2d, GroupNorm, Linear

from guidance_geometry.dev.fixtures.mac_tensor import MacTensor, mac


@pytest.fixture
def there():
    with mac() as device:
        yield device


REFUSED = {
    "made": lambda x, there: torch.zeros(2, dtype=torch.float64, device=there),
    "widened": lambda x, there: x.double(),
    "moved there": lambda x, there: torch.zeros(2, dtype=torch.float64).to(there),
    "frequencies": lambda x, there: torch.fft.fftfreq(4, dtype=torch.float64, device=there),
    "complex": lambda x, there: x.to(torch.complex128),
    "added to the CPU's": lambda x, there: x + torch.ones(4),
    "joined to the CPU's": lambda x, there: torch.cat([x, torch.ones(3, 4)]),
    "the CPU's, by its places": lambda x, there: torch.ones(3)[x.argmax(dim=1)],
    "the CPU's draws": lambda x, there: torch.randn(2, generator=torch.Generator(), device=there),
    "as an array": lambda x, there: x.numpy(),
    "no such kernel": lambda x, there: torch.linalg.eigh(x @ x.mT),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED.keys())
def test_a_mac_refuses(ask, there):
    x = torch.arange(12.0).reshape(3, 4).to(there)
    with pytest.raises((TypeError, RuntimeError)):
        ask(x, there)


GIVEN = {
    "a number of the CPU": lambda x, there: x * torch.tensor(2.0, dtype=torch.float64),
    "picked by places of the CPU": lambda x, there: x[torch.tensor([2, 0])],
    "frequencies": lambda x, there: torch.fft.ifftn(torch.fft.fftn(x)).real,
    "its own draws": lambda x, there: torch.randn(2, generator=torch.Generator(there).manual_seed(1), device=there),
    "singular values": lambda x, there: torch.linalg.svd(x).S,
}


@pytest.mark.parametrize("ask", GIVEN.values(), ids=GIVEN.keys())
def test_a_mac_gives_what_the_cpu_gives(ask, there):
    x = torch.arange(12.0).reshape(3, 4)
    found = ask(x.to(there), there)
    assert isinstance(found, MacTensor)
    assert found.device.type == "mps"
    assert torch.equal(found.cpu(), ask(x, torch.device("cpu")))


def test_gradients_cross_over(there):
    start = torch.rand(2, 3)
    x = start.to(there).requires_grad_()
    (gradient,) = torch.autograd.grad(x.cpu().double().square().sum(), x)
    assert isinstance(gradient, MacTensor)
    assert torch.allclose(gradient.cpu(), 2 * start)
    y = start.clone().requires_grad_()
    y.to(there).square().sum().backward()
    assert type(y.grad) is torch.Tensor


def test_a_network_moves_there_and_learns_there(there):
    network = nn.Sequential(Conv2d(3, 4, 3), GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), Linear(144, 3))
    x = torch.rand(2, 3, 8, 8)
    plain = network(x)
    copy.deepcopy(network).to(there)(x.to(there)).logsumexp(dim=1).sum().backward()
    network.to(there)
    assert torch.allclose(network(x.to(there)).cpu(), plain, atol=1e-6)
    with pytest.raises(RuntimeError, match="same device"):
        network(x)


def test_it_ends():
    with mac() as device:
        kept = torch.ones(2).to(device)
    assert type(kept.cpu()) is torch.Tensor
    assert type(torch.Generator()) is torch._C.Generator
    with pytest.raises(RuntimeError):
        torch.zeros(2, device="mps:0")
