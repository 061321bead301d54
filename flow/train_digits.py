"""Makes flow/data/: the handwritten digits and a small network trained on them. Run once, needs scikit-learn.

    pip install -e .[train]
    python -m mxdot.flow.train_digits

The network is 64-64-10 with ReLU, in FP32; 70 % of the images train it, 30 % are kept for the test, in equal
proportions of digits. The split and the start are seeded: the same versions give the same files.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

DATA = Path(__file__).parent / "data"
SEED = 0


def main() -> None:
    digits = load_digits()
    images = digits.data.astype(np.uint8)  # grey values 0..16
    labels = digits.target.astype(np.uint8)
    train, test = train_test_split(np.arange(len(images)), test_size=0.3, random_state=SEED, stratify=labels)
    train, test = np.sort(train).astype(np.uint16), np.sort(test).astype(np.uint16)

    network = MLPClassifier((64,), alpha=1e-3, learning_rate_init=2e-3, max_iter=400, random_state=SEED)
    network.fit(images[train] / np.float32(16), labels[train])
    (w1, w2), (b1, b2) = network.coefs_, network.intercepts_
    w1, w2, b1, b2 = (np.ascontiguousarray(layer.T, np.float32) for layer in (w1, w2, b1, b2))

    DATA.mkdir(exist_ok=True)
    np.savez_compressed(DATA / "digits.npz", images=images, labels=labels, train=train, test=test)
    np.savez_compressed(DATA / "digits_weights.npz", w1=w1, b1=b1, w2=w2, b2=b2)
    score = network.score(images[test] / np.float32(16), labels[test])
    print(f"{len(train)} images trained, accuracy on the other {len(test)}: {score:.4f}")


if __name__ == "__main__":
    main()
