"""Whether two programs have drawn the same picture."""

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

REACH = (7, 25, 1)  # pixels around each in which its colour must be there: hinted letters of a long line drift apart
FAR = 64  # of 255
MOST = 5e-4  # of a sheet; a lens without its arrows is at least twice as much


def same_picture(one, other):
    """Whether each pixel of either [H, W, 3] has its colour near its place in the other."""
    return one.shape == other.shape and max(absent(one, other), absent(other, one)) < MOST


def absent(one, other):
    """Share of the pixels of one picture whose colour is nowhere near in the other."""
    low, high = minimum_filter(other, REACH), maximum_filter(other, REACH)
    return (np.maximum(low - one, one - high).max(axis=-1) > FAR).mean()
