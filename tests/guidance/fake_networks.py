"""Small smooth networks in the dtype of what they are shown, for energies of pictures [B, 3, 8, 8]."""

import torch

from guidance_geometry.guidance.vectors import put_beside


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Fake:
    labels, noise_aware, judge = ("sky", "tree", "road", "sea"), False, False

    def __repr__(self):
        return type(self).__name__


class Towers(Fake):
    """Images and texts in one space; a text is the direction of its letters."""

    scale, bias = 12.0, None

    def __init__(self, bias=None):
        self.bias, self.asked = bias, []

    def image_features(self, x0):
        return torch.nn.functional.normalize((x0.flatten(1) @ put_beside(weights(5, 192).T, x0)).tanh(), dim=1)

    def text_features(self, texts):
        self.asked += texts
        found = torch.cat([weights(1, 5, seed=sum(text.encode())) for text in texts])
        return torch.nn.functional.normalize(found, dim=1)


class Segmenter(Fake):
    """Classes at every second place."""

    def logits(self, x, sigma, alpha):
        return torch.nn.functional.conv2d(x, put_beside(weights(4, 3, 3, 3), x), stride=2, padding=1)


class Depth(Fake):
    """Depth at every place, in units and from an origin of its own."""

    def __init__(self, scale=1.0, offset=0.0, inverse=True):
        self.scale, self.offset, self.inverse = scale, offset, inverse

    def depth(self, x0):
        found = torch.nn.functional.conv2d(x0, put_beside(weights(1, 3, 3, 3), x0), padding=1)[:, 0]
        return self.scale * found.tanh() + self.offset


class Extractor(Fake):
    """Features of the whole, and maps of two sizes."""

    def features(self, x0):
        return (x0.flatten(1) @ put_beside(weights(6, 192).T, x0) / 4).tanh()

    def maps(self, x0):
        fine = torch.nn.functional.conv2d(x0, put_beside(weights(4, 3, 3, 3), x0) / 5, padding=1).tanh()
        return fine, torch.nn.functional.conv2d(fine, put_beside(weights(5, 4, 3, 3), x0) / 6, stride=2, padding=1)
