import math

import pytest
import torch

from guidance_geometry.guidance.mixture import GaussianMixture, make_mixture
from guidance_geometry.lab.pages.reweighting import reweight, sliced_distance


def two_in_the_plane(variances=(0.2, 0.2)):
    means = torch.tensor([[-0.5, 0.0], [0.5, 0.0]])
    return GaussianMixture(means, torch.tensor(variances, dtype=torch.float64), torch.zeros(2), torch.tensor([0, 1]))


def moments(density):
    y, x = torch.meshgrid(density.centres, density.centres, indexing="ij")
    mean = torch.stack([(density.share * v).sum() for v in (x, y)])
    return mean, ((x - mean[0]) ** 2 * density.share).sum()


def test_scale_zero_is_the_data_and_one_the_label():
    mixture = two_in_the_plane()
    mean, variance = moments(reweight(mixture, 0, 0.0, 4.0))
    assert mean.abs().max() <= 1e-6
    assert abs(variance - (0.2 + 0.5**2)) <= 1e-3  # the grid's cells add side^2 / 12
    mean, variance = moments(reweight(mixture, 0, 1.0, 4.0))
    assert abs(mean[0] + 0.5) <= 1e-6
    assert abs(variance - 0.2) <= 1e-3


@pytest.mark.parametrize("gamma", [2.0, 5.0])
def test_density_is_the_product_by_hand(gamma):
    density = reweight(two_in_the_plane(), 1, gamma, 3.0, n=60)
    x = density.centres

    def normal(mean):
        return torch.exp(-((x - mean) ** 2) / 0.4)

    wanted = (normal(0.5) + normal(-0.5)) * (normal(0.5) / (normal(0.5) + normal(-0.5))) ** gamma
    along = density.share.sum(dim=0)
    assert (along - wanted / wanted.sum()).abs().max() <= 1e-12


def test_samples_follow_the_density():
    density = reweight(two_in_the_plane(), 0, 3.0, 3.0)
    points = density.sample(20_000, torch.Generator().manual_seed(0))
    mean, variance = moments(density)
    assert (points.mean(dim=0) - mean).abs().max() <= 4 * math.sqrt(0.5 / 20_000)
    assert abs(points[:, 0].var() - variance) <= 4 * variance * math.sqrt(2 / 20_000)


def test_level_encloses_the_mass():
    density = reweight(two_in_the_plane((0.1, 0.3)), 0, 1.0, 3.0)
    inside = density.share[density.share >= density.level(0.5)].sum()
    assert 0.5 <= inside <= 0.5 + density.share.max()


def test_distance_of_two_points_is_their_mean_shadow():
    a = torch.zeros(50, 2, dtype=torch.float64)
    b = a + torch.tensor([3.0, 4.0])
    assert abs(sliced_distance(a, b, directions=1000) - 5 * 2 / math.pi) <= 1e-4
    assert sliced_distance(b, b.flip(0)) == 0


def test_what_does_not_fit_the_plane_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4, 4\).*needs \(2,\)"):
        reweight(make_mixture((3, 4, 4), 2, 0), 0, 1.0, 3.0)
    with pytest.raises(ValueError, match="both need one"):
        sliced_distance(torch.zeros(3, 2), torch.zeros(4, 2))
