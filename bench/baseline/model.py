"""The networks of UDI as the official code runs them: plain eager PyTorch, attention matrices in memory.

Parameters carry the official names (backbone.backbone.*, backbone.attn.*, backbone.norm1.*, head.0.*), so that weights can
be exchanged by state_dict. This is the yardstick of bench/: nothing here is made faster than the official step is.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def split_heads(x, heads):
    """[..., N, C] -> [..., heads, N, C / heads]"""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def join_heads(x):
    return x.transpose(-3, -2).flatten(-2)


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.fused = False  # True: torch's scaled_dot_product_attention, the stronger baseline of the extraction row

    def forward(self, x):
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        if self.fused:
            return self.proj(join_heads(F.scaled_dot_product_attention(q, k, v)))
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return self.proj(join_heads(weights @ v))


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads, drop_path):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = drop_path

    def _drop(self, branch):
        """Stochastic depth: a sample's branch is dropped as a whole."""
        if self.drop_path == 0 or not self.training:
            return branch
        keep = 1 - self.drop_path
        kept = torch.rand(branch.shape[0], 1, 1, dtype=branch.dtype, device=branch.device).add_(keep).floor_()
        return branch / keep * kept

    def forward(self, x):
        x = x + self._drop(self.attn(self.norm1(x)))
        return x + self._drop(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, dim, patch_size):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)

    def forward(self, images):
        return self.proj(images).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Tokens before the final norm: [B, class_tokens + N, dim]."""

    def __init__(self, sizes, drop_path):
        super().__init__()
        self.sizes = sizes
        tokens = sizes.class_tokens + sizes.grid**2
        self.cls_token = nn.Parameter(torch.zeros(1, sizes.class_tokens, sizes.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, sizes.dim))
        self.patch_embed = PatchEmbed(sizes.dim, sizes.patch_size)
        rates = torch.linspace(0, drop_path, sizes.depth).tolist()
        self.blocks = nn.ModuleList(Block(sizes.dim, sizes.heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(sizes.dim, eps=1e-6)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def positions(self, height, width):
        """The embedding for an image of height x width pixels.

        The scale handed to the interpolation is (rows + 0.1) / grid, and the sampling uses that scale itself, not the
        ratio of the two sizes: weights trained the official way expect it.
        """
        grid, patch = self.sizes.grid, self.sizes.patch_size
        rows, columns = height // patch, width // patch
        if rows == columns == grid:
            return self.pos_embed
        count = self.sizes.class_tokens
        table = self.pos_embed[:, count:].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
        scale = ((rows + 0.1) / grid, (columns + 0.1) / grid)
        table = F.interpolate(table, scale_factor=scale, mode="bicubic")
        return torch.cat([self.pos_embed[:, :count], table.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, images):
        patches = self.patch_embed(images)
        x = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1)
        x = x + self.positions(*images.shape[-2:])
        for block in self.blocks:
            x = block(x)
        return x


class SampledAttention(nn.Module):
    """SRS: attention whose queries, and whose skip connection, are taken at sampled places of the token grid."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x, maps):
        """x [B, N, C], maps [R, B, s, N] dense -> [R, B, s, C] and the attention of valid samples [R, B, h, s, N]."""
        q, k, v = (split_heads(part, self.heads).unsqueeze(0) for part in self.qkv(x).chunk(3, dim=-1))
        sampled = maps.unsqueeze(2) @ q
        scores = sampled @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        valid = (maps.sum(-1) > 0)[:, :, None, :, None]
        weights = scores.masked_fill(~valid, 1e-9).softmax(dim=-1)
        out = self.proj(join_heads(weights @ v)) + maps @ x.unsqueeze(0)
        return self.norm(out), weights * valid


class Backbone(nn.Module):
    """Vision transformer, then class tokens through its norm and patch tokens through SRS."""

    def __init__(self, sizes, drop_path):
        super().__init__()
        self.sizes = sizes
        self.backbone = VisionTransformer(sizes, drop_path)
        if sizes.include_patch:
            self.attn = SampledAttention(sizes.dim, sizes.srs_heads)
            self.norm1 = nn.LayerNorm(sizes.dim, eps=1e-6)

    def forward(self, images, maps):
        """-> class tokens [B, class_tokens, C], sampled patches [R, B, s, C] or None"""
        count = self.sizes.class_tokens
        tokens = self.backbone(images)
        classes = self.backbone.norm(tokens)[:, :count]
        if not self.sizes.include_patch:
            return classes, None
        patches, _ = self.attn(self.norm1(tokens[:, count:]), maps)
        return classes, patches


class Prototypes(nn.Module):
    """A weight-normed linear layer, its weight made anew at each call."""

    def __init__(self, bottleneck, out_dim, norm_last_layer):
        super().__init__()
        bound = 1 / math.sqrt(bottleneck)
        self.weight_g = nn.Parameter(torch.ones(out_dim, 1), requires_grad=not norm_last_layer)
        self.weight_v = nn.Parameter(torch.empty(out_dim, bottleneck).uniform_(-bound, bound))

    def forward(self, x):
        return F.linear(x, torch._weight_norm(self.weight_v, self.weight_g, 0))


class Head(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(sizes.dim, sizes.hidden),
            nn.GELU(),
            nn.Linear(sizes.hidden, sizes.hidden),
            nn.GELU(),
            nn.Linear(sizes.hidden, sizes.bottleneck),
        )
        self.last_layer = Prototypes(sizes.bottleneck, sizes.out_dim, sizes.norm_last_layer)

    def forward(self, x):
        return self.last_layer(F.normalize(self.mlp(x), dim=-1))


class Network(nn.Module):
    """Backbone and the one head that all levels share."""

    def __init__(self, sizes, drop_path=0.0):
        super().__init__()
        self.sizes = sizes
        self.backbone = Backbone(sizes, drop_path)
        self.head = nn.ModuleList([Head(sizes)])
        self.apply(initialise)

    def project(self, x):
        return self.head[0](x)


def initialise(module):
    """Linear weights from a normal of 0.02, biases 0; the patch convolution and the prototypes keep their own."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
