"""The demo's classifiers: the networks' arithmetic, and that a bad file is refused with the key's name."""

import pytest
import torch

from guidance_geometry.models.classifiers.files import labels_of, load_classifier
from guidance_geometry.models.networks.weights import weights_of
from guidance_geometry.tests.classifier_slopes import noise, slope_error

from ...classifier_files import network_of, stored

NAMES = ("pocket-clean-1", "pocket-judge-1", "pocket-noisy-1")


def logits(network, x):
    return network(x, torch.full((len(x),), 0.5, dtype=x.dtype)) if network.noise_aware else network(x)


@pytest.mark.parametrize("name", NAMES)
def test_an_item_alone_is_the_item_in_a_batch_and_guides_have_a_smooth_gradient(name):
    network, x = network_of(name), noise((3, 3, 32, 32))
    assert (logits(network, x)[1:2] - logits(network, x[1:2])).abs().max() <= 1e-5  # order of float32 sums
    if name != "pocket-judge-1":
        exact, x = network_of(name, torch.float64), noise((1, 3, 32, 32), 1, torch.float64)
        assert slope_error(lambda z: logits(exact, z).log_softmax(1)[:, 1], x, 1e-5) <= 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_stored_file_comes_back_as_the_same_function(name, tmp_path):
    network, metadata = load_classifier(stored(tmp_path, name))
    wanted, x = network_of(name), noise((2, 3, 32, 32))
    rounded = {key: tensor.half().float() for key, tensor in wanted.state_dict().items() if tensor.is_floating_point()}
    wanted.load_state_dict(rounded, strict=False)
    assert torch.equal(logits(network, x), logits(wanted, x))
    assert labels_of(metadata) == ["a", "b", "c", "d"]
    assert not network.training


def damaged(change):
    weights = {key: tensor.half() for key, tensor in weights_of(network_of("pocket-clean-1")).items()}
    change(weights)
    return weights


CLAIMS = [
    ({"licence": "x" * 30_000}, r"gg\.licence has 30,000 characters"),
    ({"architecture": "resnet"}, r"gg\.architecture is 'resnet' but must be one of pocket-clean-1"),
    ({"labels": '["a", "b"]'}, r"gg\.labels names 2 labels but gg\.config says 4"),
    ({"config": '{"labels": 4, "depth": 3}'}, r"gg\.config is .*depth.* does not take"),
    ({"config": '{"labels": 4, "sigma_data": "x"}'}, r"gg\.config\.sigma_data is 'x'; a finite number"),
]
NEEDED = ("format", "config", "licence")


@pytest.mark.parametrize(("change", "message"), [*CLAIMS, *((key, rf"gg\.{key} is missing") for key in NEEDED)])
def test_unknown_and_missing_claims_are_refused_by_name(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        load_classifier(
            stored(tmp_path, drop=(change,)) if isinstance(change, str) else stored(tmp_path, change=change)
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("out.bias"), r"weight 'out\.bias' is missing but \(4,\) is needed"),
        (lambda w: w.update({"out.bias": torch.full((4,), torch.inf)}), r"tensor 'out\.bias' holds nan or inf"),
        (lambda w: w.update({"out.bias": torch.zeros(4, dtype=torch.int64)}), r"tensor 'out\.bias' is I64"),
    ],
    ids=["missing", "infinite", "dtype"],
)
def test_wrong_weights_are_refused_by_name(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        load_classifier(stored(tmp_path, weights=damaged(change)))
