#!/usr/bin/env python3
"""A Vision Transformer on CIFAR-10 in PyTorch, on a GPU where there is one.

An example of a trainer for swath on GPU machines. What it takes from swath are environment
variables, each with a fallback for a run by hand:

    SWATH_DATA            the folder that holds cifar-10-batches-bin
    SWATH_REPORT          the file that metrics are appended to as JSON lines
    SWATH_CHECKPOINT_DIR  where it saves its state after each epoch, and goes on from

and CUDA_VISIBLE_DEVICES, by which PyTorch sees only the GPU that the trial was given.

    python3 train.py --data ~/datasets --epochs 2
"""

import argparse
import json
import os
import time

import torch
from torch import nn

RECORD = 1 + 3 * 32 * 32  # CIFAR-10's binary version: a label, then the planes R, G, B


def read_cifar(folder, names, count):
    """The first count images of each file's share, as floats around 0, and their labels."""
    images, labels = [], []
    for name in names:
        with open(os.path.join(folder, "cifar-10-batches-bin", name), "rb") as f:
            records = torch.frombuffer(bytearray(f.read()), dtype=torch.uint8).view(-1, RECORD)
        if count:
            records = records[: count // len(names)]
        labels.append(records[:, 0].long())
        images.append(records[:, 1:].view(-1, 3, 32, 32))
    mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1)
    std = torch.tensor([0.2470, 0.2435, 0.2616]).view(1, 3, 1, 1)
    return (torch.cat(images).float() / 255 - mean) / std, torch.cat(labels)


class VisionTransformer(nn.Module):
    """Dosovitskiy et al. 2021: patches, a class token, positions, encoder layers, a head."""

    def __init__(self, patch, heads, layers, width, mlp, dropout):
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(1, (32 // patch) ** 2 + 1, width))
        layer = nn.TransformerEncoderLayer(width, heads, mlp, dropout, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.encoder(x)[:, 0])


def report(line):
    """Append one line for the worker, or print it for whoever runs this by hand."""
    path = os.environ.get("SWATH_REPORT")
    if not path:
        print(json.dumps(line), flush=True)
        return
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps(line) + "\n")


def save(path, state):
    """Write a checkpoint under another name and rename it: it is whole, or not there. The line
    says that it is ready: the worker brings it to where another attempt can go on from it."""
    torch.save(state, path + ".tmp")
    os.replace(path + ".tmp", path)
    report({"checkpoint": os.path.basename(path), "step": state["epoch"]})


@torch.no_grad()
def accuracy(model, images, labels, batch=1000):
    model.eval()
    right = sum((model(x).argmax(1) == y).sum().item() for x, y in zip(images.split(batch), labels.split(batch)))
    return right / len(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patch_size", type=int, default=4)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--encoder_layers", type=int, default=4)
    parser.add_argument("--embed_dim", type=int, default=240)
    parser.add_argument("--mlp_dim", type=int, default=1024)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--learning_rate", type=float, default=1e-4)
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--train_images", type=int, default=0, help="0: all")
    parser.add_argument("--test_images", type=int, default=0, help="0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default=os.environ.get("SWATH_DATA") or "data")
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    if device == "cpu" and "SWATH_CPUS" in os.environ:
        torch.set_num_threads(max(1, int(float(os.environ["SWATH_CPUS"]))))
    batches = [f"data_batch_{i}.bin" for i in range(1, 6)]
    train_x, train_y = (t.to(device) for t in read_cifar(args.data, batches, args.train_images))
    test_x, test_y = (t.to(device) for t in read_cifar(args.data, ["test_batch.bin"], args.test_images))

    model = VisionTransformer(
        args.patch_size, args.heads, args.encoder_layers, args.embed_dim, args.mlp_dim, args.dropout
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters(), args.learning_rate)
    done = 0
    checkpoint = os.path.join(os.environ.get("SWATH_CHECKPOINT_DIR") or ".", "vit.pt")
    if "SWATH_CHECKPOINT_DIR" in os.environ and os.path.exists(checkpoint):
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["epoch"]
        print(f"going on after epoch {done}", flush=True)

    for epoch in range(done + 1, args.epochs + 1):
        start = time.monotonic()
        model.train()
        total = 0.0
        torch.manual_seed(args.seed * 1_000_003 + epoch)  # so that an epoch does not depend on where the run began
        for chosen in torch.randperm(len(train_x)).to(device).split(args.batch_size):
            loss = nn.functional.cross_entropy(model(train_x[chosen]), train_y[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(chosen)
        mean = float(total) / len(train_x)
        speed = len(train_x) / (time.monotonic() - start)
        metrics = {"test_accuracy": accuracy(model, test_x, test_y), "train_loss": mean, "images_per_second": speed}
        report({"step": epoch, "metrics": metrics})
        if "SWATH_CHECKPOINT_DIR" in os.environ:
            save(checkpoint, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch})


if __name__ == "__main__":
    main()
