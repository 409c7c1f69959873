"""Small graphs that run, one around every node of the pack."""

from .catalogue import Named

SOURCES = {  # wire type -> the node and output that it comes from
    "MODEL": ("GGLoadDenoiser", 0),
    "*": ("GGLoadDenoiser", 0),  # whatever it is
    "VAE": ("GGLoadDenoiser", 1),
    "CONDITIONING": ("GGClassLabel", 0),
    "LATENT": ("GGEmptyCanvas", 0),
    "IMAGE": ("LoadImage", 0),
    "MASK": ("SolidMask", 0),
    "SAMPLER": ("KSamplerSelect", 0),
    "SIGMAS": ("BasicScheduler", 0),
    "NOISE": ("RandomNoise", 0),
    "GUIDER": ("GGGuider", 0),
    "GG_RECORDER": ("GGRecord", 1),
    "GG_CLASSIFIER": ("GGLoadClassifier", 0),
    "GG_ENERGY": ("GGLabelEnergy", 0),
    "GG_GUIDANCE": ("GGAdaptiveProjected", 0),
    "GG_GRADIENT_OPTIONS": ("GGGradientOptions", 0),
    "GUIDANCE_TRACE": ("GGGuidedSampler", 2),
}
SOURCES_OF = {("GGTrainNoisyClassifier", "LATENT"): ("GGGuidedSampler", 0)}  # where an empty canvas is refused
READERS = {  # wire type -> the node and input that make something of it, in the order of preference
    "GUIDANCE_TRACE": ("GGMetrics", "trace"),
    "GG_GUIDANCE": ("GGGuidedSampler", "guidance"),
    "GG_ENERGY": ("GGClassifierGradient", "energy"),
    "GG_GRADIENT_OPTIONS": ("GGClassifierGradient", "options"),
    "GG_CLASSIFIER": ("GGLabelEnergy", "classifier"),
    "GUIDER": ("GGInspectedSampler", "guider"),
    "SAMPLER": ("GGGuidedSampler", "sampler"),
    "MODEL": ("GGGuidedSampler", "model"),
    "CONDITIONING": ("GGGuidedSampler", "positive"),
}
CLASSIFIERS = {"GGTextEnergy": "tiny-clip/", "GGSegmentationEnergy": "tiny-segformer/", "GGDepthEnergy": "tiny-dpt/"}
CHOSEN = {  # widgets whose default would make a seed do nothing, or too much
    "GGLoadTrace": {"trace_name": "traces/euler.safetensors"},
    "GGTrainNoisyClassifier": {"width": 8, "batch_size": 2},
    "LoadImage": {"image": "ramp.png"},
}


class Builder:
    """A graph that grows by what its nodes need; one node stands for all wires of a type.

    classifier: the name that its loader gets, None for the usual one.
    """

    def __init__(self, catalogue, classifier=None):
        self.catalogue, self.graph, self.nodes_by_kind, self.classifier = catalogue, {}, {}, classifier

    def add(self, kind, wires=None, optional=(), **values):
        """Add a node with small usual values and all that it needs, and return its id.  optional: wires beside those"""
        inputs = dict(wires or {})
        for slot in self.catalogue[kind].inputs.values():
            if slot.name in inputs or not (slot.required or slot.name in optional or slot.is_widget):
                continue
            if slot.is_widget:
                inputs[slot.name] = slot.usual()
            elif slot.kind in SOURCES and SOURCES[slot.kind][0] != kind:
                inputs[slot.name] = self.wire(slot.kind, kind)
        named = {"classifier_name": self.classifier} if self.classifier and kind == "GGLoadClassifier" else {}
        node = str(len(self.graph) + 1)
        self.graph[node] = {"class_type": kind, "inputs": inputs | CHOSEN.get(kind, {}) | named | values}
        return node

    def wire(self, kind, reader=""):
        """Where a wire of this type comes from.  reader: the node that it goes to"""
        source, slot = SOURCES_OF.get((reader, kind), SOURCES[kind])
        if source not in self.nodes_by_kind:
            self.nodes_by_kind[source] = self.add(source)
        return [self.nodes_by_kind[source], slot]

    def finish(self, node):
        """Let something be made of what a node gives, up to a node that the host counts as an output; the graph."""
        kind = self.catalogue[self.graph[node]["class_type"]]
        while not kind.is_output:
            node = self._reader(node, kind)
            kind = self.catalogue[self.graph[node]["class_type"]]
        return self.graph

    def _reader(self, node, kind):
        for wire, (reader, name) in READERS.items():
            if wire in kind.outputs and reader != kind.name:
                return self.add(reader, {name: [node, kind.outputs.index(wire)]})
        return self.add("PreviewAny", {"source": [node, 0]})


def seeds(catalogue):
    """Name -> graph: every node of the pack with none, each and all of its optional wires."""
    found = {}
    for kind in filter(lambda kind: kind.ours, catalogue.values()):
        optional = [slot.name for slot in kind.inputs.values() if not (slot.required or slot.is_widget)]
        for wires in ([], *([name] for name in optional), optional):
            found[f"{kind.name}({', '.join(wires)})"] = around(catalogue, kind.name, wires)
    return Named(found)


def around(catalogue, kind, optional=()):
    """A graph in which one node works."""
    if kind in ("GGRecord", "GGReadTrace"):
        return recorded(catalogue)
    builder = Builder(catalogue, CLASSIFIERS.get(kind))
    return builder.finish(builder.add(kind, optional=optional))


def recorded(catalogue):
    """A host's sampler that is recorded, and its trace."""
    builder = Builder(catalogue)
    record = builder.add("GGRecord")
    sampled = builder.add("KSampler", {"model": [record, 0]})
    return builder.finish(builder.add("GGReadTrace", {"recorder": [record, 1], "latent": [sampled, 0]}))
