"""What the recipes of CONTRIBUTING.md ask for is read as it stands, and is as little as it promises."""

import pytest

from guidance_geometry.tests.recipes import Change, recipes

PAGE = """
## Recipe: a cake

Create `cakes/sponge.py`:

```python
EGGS = 3

```

In `cakes/registry.py`, below the line `CAKES = (`, add:

```python
    "sponge",
```

In `cakes/registry.py`, above the line `)`, add:

```python
    "last",
```
"""


def test_a_recipe_is_read_and_followed(tmp_path):
    (changes,) = recipes(PAGE).values()
    (tmp_path / "cakes").mkdir()
    (tmp_path / "cakes" / "registry.py").write_text("CAKES = (\n    'nut',\n)\n")
    for change in changes:
        change.follow(tmp_path)
    assert (tmp_path / "cakes" / "sponge.py").read_text() == "EGGS = 3\n\n"
    assert (
        tmp_path / "cakes" / "registry.py"
    ).read_text() == 'CAKES = (\n    "sponge",\n    \'nut\',\n    "last",\n)\n'


def test_an_order_that_does_not_fit_is_an_error(tmp_path):
    (tmp_path / "there.py").write_text("one\none\n")
    with pytest.raises(AssertionError):
        Change("there.py", "two").follow(tmp_path)
    for anchor in ("one", "three"):
        with pytest.raises(ValueError, match="values to unpack"):
            Change("there.py", "two", anchor, "below").follow(tmp_path)
