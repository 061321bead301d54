"""The stored digits network: images and weights, and its layers with any matrix product."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# (N, K) inputs, (M, K) weights, (N, M) bias -> (N, M)
Layer = Callable[[Floats, Floats, Floats], Floats]

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Digits:
    """The test images (N, 64), grey values 0 to 1, their labels (N,), and the layers' (weights, bias)."""

    images: Floats
    labels: npt.NDArray[np.uint8]
    layers: tuple[tuple[Floats, Floats], ...]

    @classmethod
    def load(cls) -> "Digits":
        """The stored files; see flow/data/README.md."""
        with np.load(DATA / "digits.npz") as data:
            test = data["test"]
            images = data["images"][test].astype(np.float32) / np.float32(16)
            labels = data["labels"][test]
        with np.load(DATA / "digits_weights.npz") as data:
            layers = tuple((data[f"w{i}"], data[f"b{i}"]) for i in (1, 2))
        return cls(images, labels, layers)

    def scores(self, layer: Layer) -> Floats:
        """(N, 10) by way of `layer`, with max(x, 0) between the layers; NaN stays NaN."""
        x = self.images
        for i, (weights, bias) in enumerate(self.layers):
            x = np.maximum(x, 0) if i else x
            x = layer(x, weights, np.broadcast_to(bias, (len(x), len(bias))))
        return x

    def accuracy(self, scores: Floats) -> float:
        """Share of the images whose largest score is their label's."""
        return float(np.mean(scores.argmax(axis=1) == self.labels))


def fp32(x: Floats, weights: Floats, bias: Floats) -> Floats:
    """A layer as NumPy computes it in float32."""
    return x @ weights.T + bias
