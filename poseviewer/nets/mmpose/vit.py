"""ViTPose: a plain vision transformer on 16-pixel patches and a light head (MMPose "vitpose-small" and relatives).

"ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation"; reference/hrnet_ae_mmpose.md section 5.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseviewer.nets.mmpose import parts
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

PATCH, PATCH_PADDING = 16, 2
LN_EPS = 1e-6
SIMPLE_ENLARGED = 4
# Shapes do not say the number of heads; the published networks have these by their width.
HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}
HEAD_WIDTH = 64


class VitposeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of; the defaults are ViTPose-S.

    Attributes:
        joints: K.
        width: of a token.
        layers: transformer layers.
        heads: attention heads; divides `width`.
        hidden: width between the two linear layers of a transformer layer.
        tokens: h w, patches of the input.
        deconvs: channels of the head's transposed convolutions; none is the "simple" head.
        kernel: of the last convolution.
    """

    joints: int = 17
    width: int = 384
    layers: int = 12
    heads: int = 12
    hidden: int = 1536
    tokens: int = 192
    deconvs: tuple[int, ...] = (256, 256)
    kernel: int = 1


class Vitpose(nn.Module):
    """Images (B, 3, H, W) with H/16 W/16 = `tokens` to heatmaps (B, K, H/4, W/4)."""

    def __init__(self, config: VitposeConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = VisionTransformer(config)
        self.head = parts.HeatmapHead(config.width, config.joints, config.deconvs, config.kernel)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.backbone(x)
        if not self.config.deconvs:
            y = F.interpolate(y.relu(), scale_factor=SIMPLE_ENLARGED, mode="bilinear", align_corners=False)
        heatmaps: Tensor = self.head(y)
        return heatmaps


class VisionTransformer(nn.Module):
    """Patches as tokens with learned positions and no class token; (B, 3, H, W) to (B, width, H/16, W/16)."""

    def __init__(self, config: VitposeConfig) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, config.tokens, config.width))
        self.patch_embed = PatchEmbedding(config.width)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.layers))
        self.ln1 = nn.LayerNorm(config.width, eps=LN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch_embed(x)
        tokens = patches.flatten(2).transpose(1, 2) + self.pos_embed
        for layer in self.layers:
            tokens = layer(tokens)
        y: Tensor = self.ln1(tokens)
        return y.transpose(1, 2).reshape(patches.shape)


class PatchEmbedding(nn.Module):
    """A 16x16 convolution of stride 16 and padding 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, width, PATCH, stride=PATCH, padding=PATCH_PADDING)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.projection(x)
        return y


class TransformerLayer(nn.Module):
    """Attention and two linear layers, each behind a normalisation and added to its input."""

    def __init__(self, config: VitposeConfig) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(config.width, eps=LN_EPS)
        self.attn = Attention(config.width, config.heads)
        self.ln2 = nn.LayerNorm(config.width, eps=LN_EPS)
        self.ffn = FeedForward(config.width, config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        y: Tensor = x + self.ffn(self.ln2(x))
        return y


class Attention(nn.Module):
    """Multi-head attention of tokens (B, N, width) among themselves."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, width = x.shape
        split = self.qkv(x).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        found = F.scaled_dot_product_attention(query, key, value)
        y: Tensor = self.proj(found.transpose(1, 2).reshape(batch, count, width))
        return y


class FeedForward(nn.Module):
    """Linear, GELU, linear; keys ``layers.0.0`` and ``layers.1``."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(width, hidden), nn.GELU()), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


def sniff(shapes: Shapes) -> VitposeConfig | None:
    """The configuration that a state dict's shapes belong to, None for another family.

    The number of heads follows from the width, as in the published networks; others have heads of 64.
    """
    positions, last = shapes.get("backbone.pos_embed", ()), shapes.get("head.final_layer.weight", ())
    deconvs = parts.deconv_widths(shapes, "head.")
    if len(positions) != 3 or len(last) != 4 or deconvs is None:
        return None
    _, tokens, width = positions
    layers = run_length(shapes, "backbone.layers.", ".attn.qkv.weight")
    hidden = size(shapes, "backbone.layers.0.ffn.layers.0.0.weight")
    heads = HEADS.get(width, width // HEAD_WIDTH)
    if not sane((last[0], width, hidden, tokens, heads), (layers,)) or last[2] not in (1, 3):
        return None
    if shapes.get("backbone.patch_embed.projection.weight") != (width, 3, PATCH, PATCH) or width % heads:
        return None
    return VitposeConfig(last[0], width, layers, heads, hidden, tokens, deconvs, last[2])


def spec_of(config: VitposeConfig) -> parts.InputFacts:
    """UDP heatmaps and crop; inputs are 3 to 4 (192x256, 288x384), or square where that fits no whole patches."""
    across = round((config.tokens * 0.75) ** 0.5)
    if across * across * 4 != config.tokens * 3:
        across = round(config.tokens**0.5)
    input_wh = across * PATCH, config.tokens // across * PATCH
    heatmap_wh = input_wh[0] // 4, input_wh[1] // 4
    return parts.InputFacts(config.joints, input_wh, heatmap_wh, decode="udp", crop="mmpose_udp")
