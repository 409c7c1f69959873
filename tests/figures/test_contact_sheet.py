import numpy as np
import pytest
import torch

from guidance_geometry.figures.contact_sheet import contact_sheet


def columns(count=3, rows=2, height=5, width=7):
    """Plain pictures, each of its own green."""
    greens = torch.linspace(0.1, 0.9, count * rows).reshape(count, rows)
    colour = torch.tensor([0.0, 1.0, 0.0])
    return [
        (f"\u03b3 = {k}", (greens[k, :, None] * colour)[:, None, None].expand(rows, height, width, 3), "92 %")
        for k in range(count)
    ]


def cells(page, colour):
    """Bounding box of one colour on a page."""
    pixels = np.array(page)
    ys, xs = np.nonzero((pixels == (colour * 255).round().byte().numpy()).all(axis=2))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def test_every_picture_stands_in_its_column_and_row_at_the_exact_zoom():
    parts = columns()
    page = contact_sheet(parts, title="Guidance", scale=12)
    boxes = [[cells(page, images[r, 0, 0]) for r in range(2)] for _, images, _ in parts]
    for column in boxes:
        for left, top, right, bottom in column:
            assert (right - left, bottom - top) == (7 * 12, 5 * 12)
        assert column[0][0] == column[1][0]
        assert column[1][1] > column[0][3]
    assert boxes[0][0][1] == boxes[2][0][1]
    assert boxes[1][0][0] - boxes[0][0][0] == boxes[2][0][0] - boxes[1][0][0] > 7 * 12


def test_zoom_is_nearest_neighbour():
    checker = (
        (torch.arange(4)[:, None] + torch.arange(4)[None]).remainder(2).float()[None, ..., None].expand(1, 4, 4, 3)
    )
    page = np.array(contact_sheet([("a", checker * 0.5, "")], title="t", scale=10))
    assert ((page == 0).all(axis=2)).sum() == 8 * 100


@pytest.mark.parametrize(
    ("parts", "scale", "sentence"),
    [
        ([], 4, "at least one column"),
        (columns(), 0, "scale is 0"),
        ([*columns(1), ("b", torch.zeros(1, 9, 9, 3), "")], 4, "one and the same"),
        ([("b", torch.zeros(1, 9, 9, 4), "")], 4, "one and the same"),
    ],
)
def test_unusable_pictures_are_refused(parts, scale, sentence):
    with pytest.raises(ValueError, match=sentence):
        contact_sheet(parts, title="t", scale=scale)
