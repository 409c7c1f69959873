"""A MODEL of the host's kind that denoises video and sound at once, as small as can be, with random weights."""

import torch
from torch import nn
from torch.nn import Conv2d, Conv3d, Linear

VIDEO, AUDIO = (128, 2, 3, 4), (8, 5, 16)  # of one sample; the channels are those of the host's LTX format
WIDTH = 24  # of a text


class Streams(nn.Module):
    """x: [video, sound], t, context [B, n, WIDTH] -> velocities of both.

    Each stream hears of the other, unless the cross attention is said to be cut; STG takes a non-linearity away.
    """

    def __init__(self, operations=nn, device=None, dtype=None, **_):
        super().__init__()
        place = {"device": device, "dtype": dtype}
        self.dtype = dtype or torch.float32
        self.video, self.audio = (
            Conv3d(VIDEO[0], VIDEO[0], 1, **place),
            Conv2d(AUDIO[0], AUDIO[0], 3, 1, 1, **place),
        )
        self.video_text, self.audio_text = Linear(WIDTH, VIDEO[0], **place), Linear(WIDTH, AUDIO[0], **place)
        self.to_video, self.to_audio = Linear(AUDIO[0], VIDEO[0], **place), Linear(VIDEO[0], AUDIO[0], **place)

    def forward(self, x, t, context=None, transformer_options=None, **_):
        v, a = x
        options, text = transformer_options or {}, context.mean(dim=1)
        video = self.video(v) + self.video_text(text)[:, :, None, None, None]
        audio = self.audio(a) + self.audio_text(text)[:, :, None, None]
        if options.get("a2v_cross_attn", True):
            video = video + self.to_video(a.mean(dim=(2, 3)))[:, :, None, None, None]
        if options.get("v2a_cross_attn", True):
            audio = audio + self.to_audio(v.mean(dim=(2, 3, 4)))[:, :, None, None]
        bend = (lambda x: x) if options.get("stg_self_attn_blocks") else torch.tanh
        level = t.reshape(-1, 1, 1, 1)
        return [bend(video) + 0.1 * level[..., None], bend(audio) + 0.1 * level]


def two_streams(seed=0):
    """A MODEL with a flow of the host's, and the host's own way to tell a network the shapes of its streams."""
    import comfy.conds
    import comfy.model_base
    import comfy.model_management
    import comfy.model_patcher
    import comfy.supported_models

    class TwoStreams(comfy.model_base.BaseModel):
        def extra_conds(self, **given):
            shapes = comfy.conds.CONDConstant(given["latent_shapes"])
            return {"latent_shapes": shapes, "c_crossattn": comfy.conds.CONDRegular(given["cross_attn"])}

    family = getattr(comfy.supported_models, "LTXAV", comfy.supported_models.LTXV)
    config = family({"image_model": "ltxav"})
    config.set_inference_dtype(torch.float32, None)
    offload = comfy.model_management.unet_offload_device()
    model = TwoStreams(config, comfy.model_base.ModelType.FLUX, device=offload, unet_model=Streams)
    generator = torch.Generator().manual_seed(seed)
    for weight in model.diffusion_model.parameters():
        values = torch.randn(weight.shape, generator=generator)
        weight.data.copy_(values / max(weight[0].numel(), 1) ** 0.5)
    load = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(model, load_device=load, offload_device=offload)


def text(seed):
    """A CONDITIONING."""
    return [[torch.randn(1, 3, WIDTH, generator=torch.Generator().manual_seed(seed)), {}]]


def latent(batch=2):
    """An empty LATENT of video and sound."""
    from comfy.nested_tensor import NestedTensor

    return {"samples": NestedTensor([torch.zeros(batch, *VIDEO), torch.zeros(batch, *AUDIO)])}
