"""A training step of the Vision Transformer of swath's trainer vit, in PyTorch.

The same model (pre-norm encoder layers, exact GELU, learned positions, class token,
dropout at the same places), the same optimizer, the same parameters with the same
defaults. parity_vit.py proves that it is the same: both start from this file's ViT.
"""

import torch
import torch.nn.functional as F
from torch import nn

import common

# Parameters of the trainer that change the work of a step.
DEFAULTS = {
    "image_size": 32, "channels": 3, "classes": 10, "patch_size": 4, "embed_dim": 0, "heads": 12,
    "encoder_layers": 4, "mlp_dim": 1024, "dropout": 0.1, "learning_rate": 1e-4, "batch_size": 100,
}


class Attention(nn.Module):
    """Multi-head self-attention with packed queries, keys and values; queries of the first tokens only."""

    def __init__(self, dim, heads, fused):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x, queries):
        batch, tokens, dim = x.shape
        if queries == tokens:
            q, k, v = self.split(self.qkv(x), 3)
        else:
            weight, bias = self.qkv.weight, self.qkv.bias
            (q,) = self.split(F.linear(x[:, :queries], weight[:dim], bias[:dim]), 1)
            k, v = self.split(F.linear(x, weight[dim:], bias[dim:]), 2)
        if self.fused:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            scale = (dim // self.heads) ** -0.5
            out = ((q * scale) @ k.transpose(-2, -1)).softmax(-1) @ v
        return out.transpose(1, 2).reshape(batch, queries, dim)

    def split(self, x, n):
        """Divides rows of n packed vectors among them and the heads: n × batch × heads × tokens × dim of a head."""
        batch, tokens, width = x.shape
        return x.view(batch, tokens, n, self.heads, width // n // self.heads).permute(2, 0, 3, 1, 4)


class EncoderLayer(nn.Module):
    """x + attention(norm(x)), and to that its MLP likewise, for the first queries tokens."""

    def __init__(self, dim, heads, mlp, dropout, fused):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, fused)
        self.projection = nn.Linear(dim, dim)
        self.mlp1, self.mlp2 = nn.Linear(dim, mlp), nn.Linear(mlp, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, queries):
        h = self.attention(self.norm1(x), queries)
        x = x[:, :queries] + self.dropout(self.projection(h))
        h = self.dropout(F.gelu(self.mlp1(self.norm2(x))))
        return x + self.dropout(self.mlp2(h))


class ViT(nn.Module):
    """Dosovitskiy et al. 2021, equations 1 to 4.

    The loss is a function of the class token alone. So the last layer computes no other
    token but its key and value, as in swath, unless all_tokens asks for the equations as
    they are written. Loss and gradients are the same.
    """

    def __init__(self, p, fused, all_tokens):
        super().__init__()
        self.all_tokens = all_tokens
        self.patch = p["patch_size"]
        dim = p["embed_dim"]
        self.embed = nn.Linear(p["channels"] * self.patch**2, dim)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.position = nn.Parameter(torch.randn(1, tokens(p), dim) * 0.02)
        self.dropout = nn.Dropout(p["dropout"])
        self.layers = nn.ModuleList(
            EncoderLayer(dim, p["heads"], p["mlp_dim"], p["dropout"], fused) for _ in range(p["encoder_layers"]))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, p["classes"])

    def forward(self, images):
        batch, channels, height, width = images.shape
        q = self.patch
        # Patches in rows from left to right and top to bottom, each as channel, row, column.
        x = images.view(batch, channels, height // q, q, width // q, q).permute(0, 2, 4, 1, 3, 5)
        x = self.embed(x.reshape(batch, -1, channels * q * q))
        x = torch.cat([self.class_token.expand(batch, -1, -1), x], 1) + self.position
        x = self.dropout(x)
        for i, layer in enumerate(self.layers, 1):
            x = layer(x, x.shape[1] if i < len(self.layers) or self.all_tokens else 1)
        return self.head(self.norm(x[:, 0]))


def complete(p):
    """Fills in the embedding's default."""
    if p["embed_dim"] == 0:
        p["embed_dim"] = p["patch_size"] ** 2 * p["channels"] * 5
    return p


def tokens(p):
    """Tokens of an image: its patches and the class token."""
    return (p["image_size"] // p["patch_size"]) ** 2 + 1


def flops(p, all_tokens):
    """Operations of a step, counted as swath counts them: matrix products only, no gradient of the images."""
    b, t, e, m = p["batch_size"], tokens(p), p["embed_dim"], p["mlp_dim"]
    kv, rest = b * t * 2 * e * e, b * t * (2 * e * e + 2 * e * m) + 2 * b * t * t * e
    products = p["encoder_layers"] * (kv + rest)
    if not all_tokens:
        products -= rest * (t - 1) / t
    pixels = p["patch_size"] ** 2 * p["channels"]
    return 2 * (3 * products + 3 * b * e * p["classes"]) + 4 * b * (t - 1) * pixels * e


def options(parser):
    parser.add_argument("--attention", choices=["auto", "manual", "fused"], default="auto",
                        help="fused: F.scaled_dot_product_attention; auto: that where PyTorch has it")
    parser.add_argument("--all-tokens", action="store_true", help="compute the last layer for every token")
    parser.add_argument("--compile", action="store_true", help="use torch.compile (needs a C++ compiler)")


def main():
    args, p = common.parse(__doc__, DEFAULTS, options)
    complete(p)
    fused = args.attention == "fused" or args.attention == "auto" and hasattr(F, "scaled_dot_product_attention")
    model = ViT(p, fused, args.all_tokens).train()
    optimizer = common.adam(model.parameters(), lr=p["learning_rate"])
    run = torch.compile(model) if args.compile else model
    images = torch.randn(p["batch_size"], p["channels"], p["image_size"], p["image_size"])
    labels = torch.randint(p["classes"], (p["batch_size"],))

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(run(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    common.measure("vit", args, step, flops(p, args.all_tokens))


if __name__ == "__main__":
    main()
