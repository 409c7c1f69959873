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
    "made of numbers": lambda x, there: torch.tensor([1.0], dtype=torch.float64, device=there),
    "made like it": lambda x, there: x.new_zeros(2, dtype=torch.float64),
    "widened": lambda x, there: x.double(),
    "widened on the way": lambda x, there: x.to("cpu", torch.float64),
    "copied into float64": lambda x, there: torch.empty(3, 4, dtype=torch.float64).copy_(x),
    "moved there": lambda x, there: torch.zeros(2, dtype=torch.float64).to(there),
    "summed": lambda x, there: x.sum(dtype=torch.float64),
    "a norm": lambda x, there: torch.linalg.vector_norm(x, dim=1, dtype=torch.float64),
    "frequencies": lambda x, there: torch.fft.fftfreq(4, dtype=torch.float64, device=there),
    "complex": lambda x, there: x.to(torch.complex128),
    "added to the CPU's": lambda x, there: x + torch.ones(4),
    "joined to the CPU's": lambda x, there: torch.cat([x, torch.ones(3, 4)]),
    "stacked with a number": lambda x, there: torch.stack([x.sum(), torch.tensor(1.0)]),
    "bounded by the CPU's": lambda x, there: x.abs() - torch.ones(3, 1),
    "the CPU's, by its places": lambda x, there: torch.ones(3)[x.argmax(dim=1)],
    "the CPU's draws": lambda x, there: torch.randn(2, generator=torch.Generator(), device=there),
    "as an array": lambda x, there: x.numpy(),
    "no such kernel": lambda x, there: torch.linalg.eigh(x @ x.mT),
    "frequencies by their logarithm": lambda x, there: torch.logspace(0, -4, 3, device=there),
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
    "narrowed on the way": lambda x, there: torch.ones(2, dtype=torch.float64).to(there, torch.float32),
    "of numbers": lambda x, there: torch.tensor([1.0, 2.0], device="mps"),
    "like it": lambda x, there: x.new_tensor([1.0, 2.0]),
    "its own draws": lambda x, there: torch.randn(2, generator=torch.Generator(there).manual_seed(1), device=there),
    "written into": lambda x, there: x.index_put((torch.tensor([0]),), torch.tensor(7.0)),
    "singular values": lambda x, there: torch.linalg.svd(x).S,
}


@pytest.mark.parametrize("ask", GIVEN.values(), ids=GIVEN.keys())
def test_a_mac_gives_what_the_cpu_gives(ask, there):
    x = torch.arange(12.0).reshape(3, 4)
    found = ask(x.to(there), there)
    assert isinstance(found, MacTensor)
    assert found.device.type == "mps"
    if ask is not GIVEN["of numbers"]:
        assert torch.equal(found.cpu(), ask(x, torch.device("cpu")))


def test_what_is_written_in_place_is_written(there):
    x = torch.zeros(3, 4, device=there)
    x += 1
    x[0] = 5.0
    x[:, 1].mul_(2)
    torch.add(x, 1, out=x)
    assert x.cpu().tolist() == [[6, 11, 6, 6], [2, 3, 2, 2], [2, 3, 2, 2]]
    assert x.tolist() == x.cpu().tolist()
    assert float(x.sum()) == 47


@pytest.mark.parametrize("inference", [False, True])
def test_numbers_come_and_go(there, inference):
    with torch.inference_mode(inference):
        x = torch.rand(2, 3)
        for found in (x.to(there).cpu(), x.to("mps").to("cpu"), x.to(there).half().float().to(x)):
            assert type(found) is torch.Tensor
            assert torch.allclose(found, x, atol=1e-3)


def test_gradients_cross_over(there):
    start = torch.rand(2, 3)
    x = start.to(there).requires_grad_()
    (gradient,) = torch.autograd.grad(x.cpu().double().square().sum(), x)
    assert isinstance(gradient, MacTensor)
    assert torch.allclose(gradient.cpu(), 2 * start)
    y = start.clone().requires_grad_()
    y.to(there).square().sum().backward()
    assert type(y.grad) is torch.Tensor


def test_a_tensor_of_gradients_is_detached_in_inference_mode(there):
    x = torch.rand(2, 3).to(there).requires_grad_()
    with torch.inference_mode():
        found = (x.detach(), x[0], x * 2)
    assert [one.is_inference() for one in found] == [False, False, True]


def test_a_list_of_its_numbers_makes_a_tensor(there):
    one, two = torch.tensor([1.0, 2.0]).to(there)
    found = torch.tensor([one, two, 3.0], device=there)
    assert found.device.type == "mps"
    assert found.tolist() == [1.0, 2.0, 3.0]


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
