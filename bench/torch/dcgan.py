"""A training step of the GANs of swath's trainer dcgan, in PyTorch.

The generator of the DCGAN paper or the style-based one, the discriminator of the DCGAN
paper, and a step that updates both: the same layers and parameters with the same
defaults as the trainer. parity_dcgan.py proves that they are the same.
"""

import torch
import torch.nn.functional as F
from torch import nn

import common

# Parameters of the trainer that change the work of a step.
DEFAULTS = {
    "image_size": 64, "generator": "dcgan", "latent_dim": 100, "generator_features": 64, "discriminator_features": 64,
    "mapping_depth": 8, "mapping_width": 512, "learning_rate": 2e-4, "beta1": 0.5, "batch_size": 128,
}

SMALLEST = 4  # size of the smallest feature maps
LEAK = 0.2  # slope of the leaky ReLUs


def features(p, network, size):
    """Feature maps of a network ("generator", "discriminator") at an image size."""
    return p[network + "_features"] * p["image_size"] // 2 // size


def sizes(p):
    """The sizes of images from the smallest feature maps to the image."""
    size = SMALLEST
    while size <= p["image_size"]:
        yield size
        size *= 2


class Generator(nn.Module):
    """Radford, Metz and Chintala 2016: transposed convolutions, batch norm, ReLU; tanh at the end."""

    def __init__(self, p):
        super().__init__()
        *inner, _ = sizes(p)
        maps = [features(p, "generator", s) for s in inner]
        self.project = nn.ConvTranspose2d(p["latent_dim"], maps[0], SMALLEST, bias=False)
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in zip(maps, maps[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm2d(m) for m in maps)
        self.image = nn.ConvTranspose2d(maps[-1], 3, 4, 2, 1, bias=False)

    def forward(self, z):
        x = z[:, :, None, None]
        for layer, norm in zip([self.project, *self.enlarge], self.norms):
            x = F.relu(norm(layer(x)), inplace=True)
        return torch.tanh(self.image(x))


class StyleLayer(nn.Module):
    """The end of a layer of StyleGAN's synthesis network: noise, leaky ReLU, AdaIN (figure 1b)."""

    def __init__(self, p, maps):
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(maps))
        self.bias = nn.Parameter(torch.zeros(maps))
        self.style = nn.Linear(p["mapping_width"], 2 * maps)

    def forward(self, x, w, noise):
        if noise is None:
            noise = torch.randn(x.shape[0], 1, *x.shape[2:], dtype=x.dtype)
        x = x + self.strength[:, None, None] * noise + self.bias[:, None, None]
        x = F.instance_norm(F.leaky_relu(x, LEAK, inplace=True), eps=1e-8)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, 1)
        return (1 + scale) * x + shift


class StyleGenerator(nn.Module):
    """Karras, Laine and Aila 2019, figure 1b, without growing; with a tanh at the end."""

    def __init__(self, p):
        super().__init__()
        width, all_sizes = p["mapping_width"], list(sizes(p))
        maps = [features(p, "generator", s) for s in all_sizes]
        self.mapping = nn.ModuleList(
            nn.Linear(p["latent_dim"] if i == 0 else width, width) for i in range(p["mapping_depth"]))
        self.constant = nn.Parameter(torch.ones(1, maps[0], SMALLEST, SMALLEST))
        self.convolutions, self.layers = nn.ModuleList(), nn.ModuleList([StyleLayer(p, maps[0])])
        for i, out in enumerate(maps):
            for into in [maps[max(i - 1, 0)], out] if i > 0 else [out]:
                self.convolutions.append(nn.Conv2d(into, out, 3, padding=1, bias=False))
                self.layers.append(StyleLayer(p, out))
        self.image = nn.Conv2d(maps[-1], 3, 1)

    def forward(self, z, noises=None):
        """noises are the layers' noise images, batch × 1 × size × size; drawn if not given."""
        noises = iter(noises or [None] * len(self.layers))
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            w = F.leaky_relu(layer(w), LEAK, inplace=True)
        x = self.constant.expand(len(z), -1, -1, -1)
        x = self.layers[0](x, w, next(noises))
        for i, (convolution, layer) in enumerate(zip(self.convolutions, self.layers[1:])):
            if i % 2 == 1:  # the first of a size's two
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = layer(convolution(x), w, next(noises))
        return torch.tanh(self.image(x))


class Discriminator(nn.Module):
    """Radford, Metz and Chintala 2016: convolutions, batch norm but on the first, leaky ReLU; one logit."""

    def __init__(self, p):
        super().__init__()
        maps = [3] + [features(p, "discriminator", s) for s in reversed(list(sizes(p))[:-1])]
        self.halve = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in zip(maps, maps[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm2d(m) for m in maps[2:])
        self.verdict = nn.Conv2d(maps[-1], 1, SMALLEST, bias=False)

    def forward(self, x):
        x = F.leaky_relu(self.halve[0](x), LEAK, inplace=True)
        for layer, norm in zip(self.halve[1:], self.norms):
            x = F.leaky_relu(norm(layer(x)), LEAK, inplace=True)
        return self.verdict(x).flatten()


def build(p):
    """The two networks."""
    return (StyleGenerator(p) if p["generator"] == "style" else Generator(p)), Discriminator(p)


class Training:
    """One step of both networks: Goodfellow et al. 2014, algorithm 1, non-saturating."""

    def __init__(self, p, generator, discriminator, adam):
        self.generator, self.discriminator = generator, discriminator
        options = {"lr": p["learning_rate"], "betas": (p["beta1"], 0.999)}
        self.adam_g, self.adam_d = adam(generator.parameters(), **options), adam(discriminator.parameters(), **options)
        self.one, self.zero = torch.ones(p["batch_size"]), torch.zeros(p["batch_size"])

    def step(self, real, *latents):
        """latents are what the generator takes. Returns the losses of discriminator and generator."""
        d, loss = self.discriminator, F.binary_cross_entropy_with_logits
        one, zero = self.one.to(real.dtype), self.zero.to(real.dtype)
        generated = self.generator(*latents)

        d.requires_grad_(True)
        self.adam_d.zero_grad(set_to_none=True)
        on_real = loss(d(real), one)
        on_real.backward()
        on_generated = loss(d(generated.detach()), zero)
        on_generated.backward()
        self.adam_d.step()

        # The generator's step needs the gradient of the images, not of the discriminator's weights.
        d.requires_grad_(False)
        self.adam_g.zero_grad(set_to_none=True)
        loss_g = loss(d(generated), one)
        loss_g.backward()
        self.adam_g.step()
        return on_real.detach() + on_generated.detach(), loss_g.detach()


def flops(p):
    """Operations of a step, counted as swath counts them: convolutions and matrix products only.

    The generator goes forward once and back with both gradients. The discriminator goes
    forward and back twice for its own update, without the gradient of the images, and
    forward and back to the images for the generator's.
    """
    def up(network, size):  # of a layer between this size with its feature maps and the next larger
        outer = 3 if size * 2 == p["image_size"] else features(p, network, size * 2)
        return size * size * 16 * features(p, network, size) * outer

    inner = list(sizes(p))[:-1]
    first = up("discriminator", p["image_size"] // 2)
    d = sum(up("discriminator", s) for s in inner) + SMALLEST**2 * features(p, "discriminator", SMALLEST)
    work = 2 * (3 * d - first) + 2 * d
    if p["generator"] == "style":
        g, width, into = 0, p["mapping_width"], None
        for s in sizes(p):
            maps = features(p, "generator", s)
            pairs = maps * maps if into is None else into * maps + maps * maps
            g += s * s * 9 * pairs + 2 * width * 2 * maps
            into = maps
        g += p["image_size"]**2 * into * 3
        g += width * width * (p["mapping_depth"] - 1)
        work += 3 * g + 2 * p["latent_dim"] * width  # no gradient of z
    else:
        g = sum(up("generator", s) for s in inner)
        work += 3 * g + 2 * p["latent_dim"] * SMALLEST**2 * features(p, "generator", SMALLEST)
    return 2 * p["batch_size"] * work


def initialise(network):
    """N(0, 0.02) as in the DCGAN paper."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)


def options(parser):
    parser.add_argument("--layout", choices=["channels_last", "contiguous"], default="channels_last",
                        help="memory format of images and weights")


def main():
    args, p = common.parse(__doc__, DEFAULTS, options)
    generator, discriminator = build(p)
    if p["generator"] == "dcgan":
        initialise(generator)
    initialise(discriminator)
    layout = torch.channels_last if args.layout == "channels_last" else torch.contiguous_format
    generator.to(memory_format=layout)
    discriminator.to(memory_format=layout)
    training = Training(p, generator, discriminator, common.adam)
    side = p["image_size"]
    real = torch.randn(p["batch_size"], 3, side, side).to(memory_format=layout)

    def step():
        loss_d, loss_g = training.step(real, torch.randn(p["batch_size"], p["latent_dim"]))
        return loss_d.item() + loss_g.item()

    common.measure("dcgan", args, step, flops(p))


if __name__ == "__main__":
    main()
