"""The exact toy as it was measured once, by an implementation that shares nothing with this pack."""

BY_STEPS = {  # acc, p(y), Frechet distance, spread at gamma = 1
    ("heun", "none", 20): (0.201, 0.204, 1.046, 1.295),
    ("heun", "noisy", 20): (0.897, 0.861, 0.0021, 1.059),
    ("heun", "through", 20): (0.999, 0.974, 0.378, 0.774),
    ("heun", "clean", 20): (1.000, 0.983, 0.382, 0.838),
    ("euler", "none", 20): (0.194, 0.197, 0.996, 1.009),
    ("euler", "noisy", 20): (0.933, 0.896, 0.0208, 0.820),
    ("euler", "through", 20): (0.999, 0.982, 0.535, 0.570),
    ("ancestral", "noisy", 20): (0.956, 0.917, 0.074, 0.675),
    ("flow_euler", "noisy", 20): (0.925, 0.890, 0.0076, 0.891),
}
SHORT = ("acc", "p", "fd", "spread")
EITHER = {"acc": 0.002, "p": 0.002, "fd": 0.001}  # absolute, or 2 % where that is more


def holds(found, expected):
    """Every number of a run is within its tolerance of the measured one."""
    for name, value in expected.items():
        allowed = max(0.02 * abs(value), EITHER.get(name, 0.0))
        assert abs(found[name] - value) <= allowed, (name, found[name], value)
