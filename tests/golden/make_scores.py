"""Makes scores.json: accuracy, loss, confusion, recall and precision as scikit-learn computes them.

    python -m venv /tmp/sk && /tmp/sk/bin/pip install scikit-learn==1.9.1
    /tmp/sk/bin/python tests/golden/make_scores.py

Forty made-up answers about eight classes; class 3 has no pictures, and class 7 has none and is never predicted.
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics

PICTURES, CLASSES = 40, 8

random = np.random.default_rng(1)
labels = random.integers(0, CLASSES - 1, PICTURES)
labels[labels == 3] = 4
logits = random.normal(0, 1, (PICTURES, CLASSES))
logits[:, 7] -= 9
logits[np.arange(PICTURES), labels] += 1.0
prob = np.exp(logits)
prob = np.round(prob / prob.sum(axis=1, keepdims=True), 6)
prob[:, 0] += 1 - prob.sum(axis=1)  # scikit-learn wants sums of 1

order = list(range(CLASSES))
predicted = prob.argmax(axis=1)
per_class = {"labels": order, "average": None, "zero_division": np.nan}
golden = {
    "made_by": f"tests/golden/make_scores.py with scikit-learn {sklearn.__version__}",
    "labels": labels.tolist(),
    "prob": prob.round(6).tolist(),
    "accuracy": metrics.accuracy_score(labels, predicted),
    "top5": metrics.top_k_accuracy_score(labels, prob, k=5, labels=order),
    "loss": metrics.log_loss(labels, prob, labels=order),
    "confusion": metrics.confusion_matrix(labels, predicted, labels=order).tolist(),
    "recall": metrics.recall_score(labels, predicted, **per_class).tolist(),
    "precision": metrics.precision_score(labels, predicted, **per_class).tolist(),
}
path = Path(__file__).with_name("scores.json")
path.write_text(json.dumps(golden, allow_nan=True) + "\n", encoding="utf-8")
