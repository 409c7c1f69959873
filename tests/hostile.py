"""Values that no field of a file should hold, and headers with some of them."""

import copy

ABSURD = (
    None,
    True,
    -1,
    0,
    3.5,
    10**400,
    10**18,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../../etc/passwd",
    "\0",
    "<script>",
    "a\ud800",
    r"$\bad$",
    "x" * 2_000_000,
    [],
    [None],
    ["x"],
    [[]],
    [1, "x"],
    [10**400],
    {},
    {"x": 1},
    {"name": {}},
    {"shape": [0]},
    {"steps": [-1]},
)


def deep(levels=900):
    value = "x"
    for _ in range(levels):
        value = [value]
    return value


def places(value, path=()):
    """Paths to everything inside nested tables and lists."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated(value, dice):
    """A copy with one field of any depth replaced, removed, or added to."""
    made = copy.deepcopy(value)
    *above, last = dice.choice([*places(made)])
    owner = made
    for key in above:
        owner = owner[key]
    kind = dice.randrange(4)
    if kind == 0:
        del owner[last]
    elif kind == 1 and isinstance(owner, dict):
        owner[f"{last} too"] = dice.choice(ABSURD)
    else:
        owner[last] = dice.choice((*ABSURD, deep()))
    return made


class Hostile:
    """Every attribute, and printing itself, raises; so does the error."""

    def __getattr__(self, name):
        raise Broken

    def __repr__(self):
        raise Broken


class Broken(Exception):
    def __str__(self):
        raise RuntimeError("the error cannot be printed either")


def filled(kind, part):
    """An object of a class with the same thing in every field, made without its own checks."""
    made = object.__new__(kind)
    for name in getattr(kind, "__dataclass_fields__", {}):
        object.__setattr__(made, name, part)
    return made
