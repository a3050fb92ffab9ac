"""Makes the golden files of the GANs' parity tests: trainer/dcgan/testdata/parity/{dcgan,dcgan-wide,style}.golden.gz.

Tiny networks (dcgan.py's, the ones that are benchmarked) train 20 steps with
torch.optim.Adam in double precision. A file holds first weights, real images and latents,
and of each step the losses and every gradient, and the weights after the last step with
the running statistics of the generator's batch norms.
"""

import argparse

import torch

import dcgan
import golden
import swathrandom

STEPS = 20
STEP_LATENTS = 1  # the purpose of a step's latents, in trainer/dcgan/latent.go

# The parameters as swath's trainer knows them.
PARAMS = {
    "image_size": 16, "latent_dim": 6, "generator_features": 4, "discriminator_features": 4,
    "mapping_depth": 2, "mapping_width": 8, "learning_rate": 1e-3, "beta1": 0.5, "batch_size": 4, "seed": 0,
}

# Enough channels for swath's convolutions by minimal filtering, which the narrow networks do without.
WIDE = {"generator_features": 16, "discriminator_features": 16}


# How PyTorch's layouts become swath's: images and feature maps have the channels last, a
# kernel is rows × columns × the channels outside × those inside.
def same(t):
    return t


def kernel(t):
    return t.permute(2, 3, 1, 0)


def image(t):
    return t.permute(0, 2, 3, 1)


def norm(name, layer):
    yield name + ".gamma", layer.weight, same
    yield name + ".beta", layer.bias, same


def matrix(name, layer):
    yield name + ".weight", layer.weight, torch.t
    yield name + ".bias", layer.bias, same


def generator_names(network):
    """Yields (swath's name, PyTorch's parameter, how its layout becomes swath's)."""
    layers = [network.project, *network.enlarge]
    for name, layer, batch_norm in zip(plain_layers(network), layers, network.norms):
        yield name + ".weight", layer.weight, kernel
        yield from norm(name + ".norm", batch_norm)
    yield "generator.image.weight", network.image.weight, kernel


def plain_layers(network):
    """The names of the generator's layers that have a batch norm."""
    return ["generator.project"] + [f"generator.{8 << i}" for i in range(len(network.enlarge))]


def style_layers(network):
    """The names of the style generator's layers, but for the first."""
    return ["generator.4.conv"] + [f"generator.{8 << i // 2}.conv{i % 2 + 1}" for i in range(len(network.convolutions) - 1)]


def style_names(network):
    for i, layer in enumerate(network.mapping, 1):
        yield from matrix(f"generator.mapping.{i}", layer)
    yield "generator.4.constant", network.constant, lambda t: image(t)[0]
    names = style_layers(network)
    for name, layer in zip(["generator.4.input", *names], network.layers):
        yield name + ".noise.strength", layer.strength, same
        yield name + ".noise.bias", layer.bias, same
        yield from matrix(name + ".style", layer.style)
    for name, convolution in zip(names, network.convolutions):
        yield name + ".weight", convolution.weight, kernel
    yield "generator.image.weight", network.image.weight, kernel
    yield "generator.image.bias", network.image.bias, same


def discriminator_names(network):
    size = PARAMS["image_size"] // 2
    for i, layer in enumerate(network.halve):
        name = f"discriminator.{size >> i}"
        yield name + ".weight", layer.weight, kernel
        if i > 0:
            yield from norm(name + ".norm", network.norms[i - 1])
    yield "discriminator.verdict.weight", network.verdict.weight, kernel


def noises(network, step):
    """The noise images of the style generator's layers in a step."""
    batch, size = PARAMS["batch_size"], dcgan.SMALLEST
    for i, name in enumerate(["generator.4.input", *style_layers(network)]):
        if i >= 2 and i % 2 == 0:
            size *= 2
        layer = swathrandom.hash_string(name + ".noise")
        values = [swathrandom.normals(swathrandom.key(PARAMS["seed"], step, layer, row), 1)[0] for row in range(batch * size * size)]
        yield torch.tensor(values, dtype=torch.float64).view(batch, 1, size, size)


def make(kind, path, changed):
    params = {**PARAMS, **changed, "generator": kind}
    random = golden.generator(1)
    generator, discriminator = (network.double().train() for network in dcgan.build(params))
    weights = list((style_names if kind == "style" else generator_names)(generator)) + list(discriminator_names(discriminator))
    if len(weights) != len(list(generator.parameters())) + len(list(discriminator.parameters())):
        raise ValueError("a parameter of the networks has no name")
    out = golden.Writer(f"parity_dcgan.py, PyTorch {torch.__version__}, double precision", params, STEPS)
    with torch.no_grad():
        for name, weight, layout in weights:
            # The constant starts around 0, not 1 as in training, or else all of it would stay
            # positive, and AdaIN, which takes off the mean, leave the bias no gradient to compare.
            mean = 1.0 if name.endswith(".gamma") else 0.0
            weight.copy_(golden.normal(random, weight.shape, mean, 0.2))
            out.exact("start/" + name, layout(weight))

    training = dcgan.Training(params, generator, discriminator, torch.optim.Adam)
    side, batch = params["image_size"], params["batch_size"]
    for step in range(1, STEPS + 1):
        real = golden.pixels(random, (batch, 3, side, side))
        z = swathrandom.normals(swathrandom.key(params["seed"], STEP_LATENTS, step), batch * params["latent_dim"])
        z = torch.tensor(z, dtype=torch.float64).view(batch, -1)
        out.exact(f"{step}/images", image(real))
        out.exact(f"{step}/latents", z)
        loss_d, loss_g = training.step(real, z, *([list(noises(generator, step))] if kind == "style" else []))
        out.result(f"{step}/loss_d", loss_d)
        out.result(f"{step}/loss_g", loss_g)
        for name, weight, layout in weights:
            out.result(f"{step}/gradient/{name}", layout(weight.grad))
    for name, weight, layout in weights:
        out.result("end/" + name, layout(weight))
    if kind == "dcgan":
        for name, layer in zip(plain_layers(generator), generator.norms):
            out.result(f"statistics/{name}.norm.mean", layer.running_mean)
            out.result(f"statistics/{name}.norm.variance", layer.running_var)
    out.write(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where to write")
    folder = parser.parse_args().folder
    make("dcgan", f"{folder}/dcgan.golden.gz", {})
    make("dcgan", f"{folder}/dcgan-wide.golden.gz", WIDE)
    make("style", f"{folder}/style.golden.gz", {})


if __name__ == "__main__":
    main()
