"""A rule of another pack: it imports nothing of this one, and works in its chain and with its samplers."""


class HalfwayBack:
    """Classifier-free guidance, but half of what lies beyond the conditional prediction."""

    text = "halfway back"
    claims = frozenset({"per item", "in plane", "in span", "same in every space", "no memory"})

    def init(self, run):
        return None

    def step(self, state, p, gamma):
        return p.cond + (p.cond - p.uncond) * (gamma - 1) / 2, state


class HalfwayBackNode:
    RETURN_TYPES = ("GG_GUIDANCE",)
    FUNCTION = "rule"
    CATEGORY = "example"
    INPUT_TYPES = classmethod(lambda cls: {"required": {}})

    def rule(self):
        return (HalfwayBack(),)


NODE_CLASS_MAPPINGS = {"ExampleHalfwayBack": HalfwayBackNode}
