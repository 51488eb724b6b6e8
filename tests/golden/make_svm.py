"""Writes svm.json: kernels, biases and cross-validation of linear SVMs as scikit-learn's LIBLINEAR finds them.

    python -m venv /tmp/sk && /tmp/sk/bin/pip install scikit-learn==1.9.1
    /tmp/sk/bin/python tests/golden/make_svm.py

Sixty made-up pictures of three classes, six features each; the classes overlap.
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.svm import LinearSVC

random = np.random.default_rng(4)
labels = np.arange(60) % 3
centres = random.normal(0, 1, (3, 6))
features = (centres[labels] + random.normal(0, 0.8, (60, 6))).round(4)


def fit(labels, strength):
    """One class against the others; the intercept is the weight of a feature that is 1, penalised like the others."""
    svm = LinearSVC(loss="squared_hinge", C=strength, intercept_scaling=1, dual="auto", tol=1e-10, max_iter=10_000_000)
    svm.fit(features, labels)
    return {"kernel": svm.coef_.T.tolist(), "bias": svm.intercept_.tolist()}


golden = {
    "made_by": f"tests/golden/make_svm.py with scikit-learn {sklearn.__version__}",
    "features": features.tolist(),
    "labels": labels.tolist(),
    "three": {str(strength): fit(labels, strength) for strength in (0.01, 1.0, 100.0)},
    "two": {"1.0": fit(labels == 2, 1.0)},
}
Path(__file__).with_name("svm.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
