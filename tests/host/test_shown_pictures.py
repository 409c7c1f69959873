"""Pictures that a node of a job showed, as files of the host's folders and nowhere else."""

from types import SimpleNamespace

import folder_paths
import numpy as np
import pytest
import torch
from PIL import Image

from guidance_geometry.host.editor import shown_pictures as shown


@pytest.fixture
def history(host, tmp_path, monkeypatch):
    """A queue whose one job showed what it is told, and the folder of its output."""
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    (tmp_path / "output" / "a").mkdir(parents=True)

    def make(images):
        entry = {"outputs": {"9": {"images": images}}}
        return SimpleNamespace(get_history=lambda prompt_id, map_function: {prompt_id: map_function(entry)})

    return make, tmp_path / "output"


def write(path, value, side=8):
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(path)


def entry(name, folder="a", kind: str | None = "output"):
    return {"filename": name, "subfolder": folder, "type": kind}


def test_pictures_are_read_in_their_order_and_smaller_where_they_are_large(history):
    make, folder = history
    for name, value in (("1.png", 255), ("2.png", 51)):
        write(folder / "a" / name, value, side=2000)
    found = shown.shown_pictures(make([entry("1.png"), entry("2.png")]), "job", "9")
    assert found is not None
    assert found.shape == (2, 3, shown.KEPT, shown.KEPT)
    assert torch.allclose(found.mean(dim=(1, 2, 3)), torch.tensor([1.0, 0.2]), atol=1e-3)


def test_what_is_no_picture_of_the_hosts_folders_is_not_read(history):
    make, folder = history
    write(folder / "a" / "1.png", 9)
    write(folder / "a" / "large.png", 9, side=16)
    write(folder.parent / "secret.png", 9)
    (folder / "a" / "text.png").write_text("no picture")
    good = entry("1.png")
    hostile = [
        [entry("../../secret.png")], [entry("secret.png", "..")], [entry(str(folder.parent / "secret.png"))],
        [entry("1.png", kind="elsewhere")], [entry("1.png", kind=None)], [entry("gone.png")], [entry("text.png")],
        [good, entry("large.png")], [good, 7], [], "1.png", None, [good] * (shown.MOST_PICTURES + 1),
        [entry("x" * 5000)], [entry("1.png\0")],
    ]  # fmt: skip
    assert [shown.shown_pictures(make(images), "job", "9") for images in hostile] == [None] * len(hostile)
    assert shown.shown_pictures(make([good]), "job", "8") is None
