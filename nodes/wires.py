"""The pack's own wire types; everything else on a wire is the host's."""

from comfy_api.latest import io

Guidance = io.Custom("GG_GUIDANCE")
ClassifierWire = io.Custom("GG_CLASSIFIER")
EnergyWire = io.Custom("GG_ENERGY")
RecorderWire = io.Custom("GG_RECORDER")
TraceWire = io.Custom("GUIDANCE_TRACE")
OptionsWire = io.Custom("GG_GRADIENT_OPTIONS")
