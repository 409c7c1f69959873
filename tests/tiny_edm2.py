"""Weights of an EDM2 of any size as its authors publish them, by the list of its layers in the paper."""

import torch


class Listed:
    """Names and shapes of the weights of one configuration (arXiv 2312.02696, figure 21)."""

    def __init__(self, width, multipliers, side, depth, attends, labels, channels):
        self.emb, self.attends, self.found = width * max(multipliers), attends, {"unet.out_gain": ()}
        self.waves("unet.emb_fourier", width)
        self.layer("unet.emb_noise", self.emb, width)
        if labels:
            self.layer("unet.emb_label", self.emb, labels)
        widths, sides = [width * factor for factor in multipliers], [side >> level for level in range(len(multipliers))]
        kept = self.encoder(channels, widths, sides, depth)
        self.decoder(kept, widths, sides, depth)
        self.layer("unet.out_conv", channels, width, 3, 3)
        self.waves("logvar_fourier", 128)
        self.layer("logvar_linear", 1, 128)

    def layer(self, name, *shape):
        self.found[f"{name}.weight"] = shape

    def waves(self, name, width):
        self.found |= {f"{name}.freqs": (width,), f"{name}.phases": (width,)}

    def block(self, name, channels, wanted, attends=False):
        self.found[f"{name}.emb_gain"] = ()
        self.layer(f"{name}.conv_res0", wanted, wanted if ".enc." in name else channels, 3, 3)
        self.layer(f"{name}.emb_linear", wanted, self.emb)
        self.layer(f"{name}.conv_res1", wanted, wanted, 3, 3)
        if channels != wanted:
            self.layer(f"{name}.conv_skip", wanted, channels, 1, 1)
        if attends:
            self.layer(f"{name}.attn_qkv", 3 * wanted, wanted, 1, 1)
            self.layer(f"{name}.attn_proj", wanted, wanted, 1, 1)

    def encoder(self, channels, widths, sides, depth):
        self.layer(f"unet.enc.{sides[0]}x{sides[0]}_conv", widths[0], channels + 1, 3, 3)
        kept = [widths[0]]
        for wanted, side in zip(widths, sides, strict=True):
            if side != sides[0]:
                self.block(f"unet.enc.{side}x{side}_down", kept[-1], kept[-1])
                kept.append(kept[-1])
            for index in range(depth):
                self.block(f"unet.enc.{side}x{side}_block{index}", kept[-1], wanted, side in self.attends)
                kept.append(wanted)
        return kept

    def decoder(self, kept, widths, sides, depth):
        before = widths[-1]
        for wanted, side in reversed([*zip(widths, sides, strict=True)]):
            if side == sides[-1]:
                self.block(f"unet.dec.{side}x{side}_in0", before, before, True)
                self.block(f"unet.dec.{side}x{side}_in1", before, before)
            else:
                self.block(f"unet.dec.{side}x{side}_up", before, before)
            for index in range(depth + 1):
                self.block(f"unet.dec.{side}x{side}_block{index}", before + kept.pop(), wanted, side in self.attends)
                before = wanted


def edm2_shapes(width, multipliers=(1, 2, 3, 4), side=64, depth=3, attends=(16, 8), labels=1000, channels=3):
    """Names and shapes; what is not given is that of the published networks."""
    return Listed(width, multipliers, side, depth, attends, labels, channels).found


def edm2_weights(seed=0, **sizes):
    """Random weights, rows of uneven size; no gain is zero, or the network would answer nothing."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in edm2_shapes(**sizes).items():
        found[name] = torch.randn(shape, generator=generator)
        if name.endswith("gain"):
            found[name] = 0.5 + 0.5 * torch.rand((), generator=generator)
        elif len(shape) > 1:
            found[name] *= 0.2 + torch.rand(shape[0], *[1] * (len(shape) - 1), generator=generator)
        elif name.endswith("s"):
            found[name] *= 6.28
    return found
