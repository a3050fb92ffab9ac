"""Makes the golden file of the ViT's parity test: trainer/vit/testdata/parity/vit.golden.gz.

A tiny ViT (vit.py's, the one that is benchmarked) without dropout trains 20 steps with
torch.optim.Adam in double precision. The file holds first weights and batches, and the
loss and every gradient of each step, and the weights after the last.
"""

import argparse

import torch
import torch.nn.functional as F

import golden
import vit

STEPS = 20

# The parameters as swath's trainer knows them.
PARAMS = {
    "image_size": 8, "patch_size": 4, "embed_dim": 12, "heads": 3, "encoder_layers": 2, "mlp_dim": 16, "classes": 10,
    "dropout": 0, "batch_size": 4, "learning_rate": 1e-3, "optimizer": "adam",
}


def names(model):
    """Yields (swath's name, PyTorch's parameter, how its layout becomes swath's).

    swath keeps a linear layer's matrix as inputs × outputs, PyTorch as its transpose.
    """
    def same(t):
        return t

    def matrix(name, linear):
        yield name + ".weight", linear.weight, torch.t
        yield name + ".bias", linear.bias, same

    def norm(name, layer):
        yield name + ".gamma", layer.weight, same
        yield name + ".beta", layer.bias, same

    yield from matrix("embed", model.embed)
    yield "embed.class", model.class_token, torch.flatten
    yield "embed.position", model.position, torch.squeeze
    for i, layer in enumerate(model.layers, 1):
        yield from norm(f"encoder.{i}.norm1", layer.norm1)
        yield from matrix(f"encoder.{i}.qkv", layer.attention.qkv)
        yield from matrix(f"encoder.{i}.projection", layer.projection)
        yield from norm(f"encoder.{i}.norm2", layer.norm2)
        yield from matrix(f"encoder.{i}.mlp1", layer.mlp1)
        yield from matrix(f"encoder.{i}.mlp2", layer.mlp2)
    yield from norm("norm", model.norm)
    yield from matrix("head", model.head)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="where to write")
    path = parser.parse_args().file

    random = golden.generator(1)
    params = {**vit.DEFAULTS, **{k: v for k, v in PARAMS.items() if k in vit.DEFAULTS}}
    model = vit.ViT(params, fused=False, all_tokens=True).double().train()
    weights = list(names(model))
    if len(weights) != len(list(model.parameters())):
        raise ValueError("a parameter of the model has no name")
    out = golden.Writer(f"parity_vit.py, PyTorch {torch.__version__}, double precision", PARAMS, STEPS)
    with torch.no_grad():
        for name, weight, layout in weights:
            mean = 1.0 if name.endswith(".gamma") else 0.0
            weight.copy_(golden.normal(random, weight.shape, mean, 0.2))
            out.exact("start/" + name, layout(weight))

    optimizer = torch.optim.Adam(model.parameters(), lr=PARAMS["learning_rate"])
    side = PARAMS["image_size"]
    for step in range(1, STEPS + 1):
        images = golden.pixels(random, (PARAMS["batch_size"], 3, side, side))
        labels = torch.tensor([random.randrange(PARAMS["classes"]) for _ in range(PARAMS["batch_size"])])
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        out.exact(f"{step}/images", images)
        out.exact(f"{step}/labels", labels)
        out.result(f"{step}/loss", loss)
        for name, weight, layout in weights:
            out.result(f"{step}/gradient/{name}", layout(weight.grad))
        optimizer.step()
    for name, weight, layout in weights:
        out.result("end/" + name, layout(weight))
    out.write(path)


if __name__ == "__main__":
    main()
