#!/usr/bin/env python3
"""Logistic regression by stochastic gradient descent, in plain Python.

An example of a trainer for swath that needs nothing installed. It knows nothing of
swath but one environment variable: where SWATH_REPORT is set, it appends its metrics to
that file as JSON lines; where it is not, it prints them. So it runs by hand as well:

    python3 train.py --learning_rate=0.5 --epochs=3
"""

import argparse
import json
import math
import os
import random


def make_points(rng, count):
    """Points of the square, labelled by the side of a curve they lie on, one in 20 wrongly."""
    points = []
    for _ in range(count):
        x, y = rng.uniform(-1, 1), rng.uniform(-1, 1)
        label = 1 if y > x * x - 0.4 else 0
        if rng.random() < 0.05:
            label = 1 - label
        points.append(((1.0, x, y, x * x, x * y, y * y), label))
    return points


def sigmoid(z):
    if z >= 0:
        return 1 / (1 + math.exp(-z))
    return math.exp(z) / (1 + math.exp(z))


def predict(weights, features):
    return sigmoid(sum(w * f for w, f in zip(weights, features)))


def evaluate(weights, points):
    """Mean cross-entropy and accuracy."""
    loss = correct = 0
    for features, label in points:
        p = min(max(predict(weights, features), 1e-12), 1 - 1e-12)
        loss -= math.log(p if label else 1 - p)
        correct += (p >= 0.5) == (label == 1)
    return loss / len(points), correct / len(points)


def train_epoch(weights, points, args, rng):
    rng.shuffle(points)
    for start in range(0, len(points), args.batch_size):
        batch = points[start:start + args.batch_size]
        gradient = [args.l2 * w for w in weights]
        for features, label in batch:
            error = predict(weights, features) - label
            for i, f in enumerate(features):
                gradient[i] += error * f / len(batch)
        for i, g in enumerate(gradient):
            weights[i] -= args.learning_rate * g


def report(step, metrics):
    """Append one line for the worker, or print it for whoever runs this by hand."""
    path = os.environ.get("SWATH_REPORT")
    if not path:
        print(f"epoch={step}", *(f"{k}={v:.4f}" for k, v in metrics.items()), flush=True)
        return
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps({"step": step, "metrics": metrics}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learning_rate", type=float, default=0.1)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--l2", type=float, default=0.0, help="weight of the penalty on large weights")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the points; the points are always the same")
    args = parser.parse_args()
    if args.batch_size < 1:
        parser.error("argument --batch_size: must be 1 or more")

    data = make_points(random.Random(0), 1500)
    training, test = data[:1000], data[1000:]
    rng = random.Random(args.seed)
    weights = [0.0] * len(training[0][0])
    for epoch in range(1, args.epochs + 1):
        train_epoch(weights, training, args, rng)
        loss, accuracy = evaluate(weights, test)
        report(epoch, {"loss": loss, "accuracy": accuracy})


if __name__ == "__main__":
    main()
