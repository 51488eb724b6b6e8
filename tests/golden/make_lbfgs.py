"""Writes lbfgs.json: the losses of torch.optim.LBFGS on Rosenbrock's function, step by step.

    python tests/golden/make_lbfgs.py      # with PyTorch (made with 2.13.0 on the CPU); imgnn itself does not need it

No line search, one evaluation a step, float64: the optimiser that neural-style's PyTorch ports use.
"""

import json
from pathlib import Path

import torch

START = [-1.2, 1.0, -0.5, 0.8, 1.3, -0.7]
STEPS, HISTORY = 40, 5


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


x = torch.tensor(START, dtype=torch.float64, requires_grad=True)
# Without tolerances, and with max_iter=1, one call of step() is one evaluation and one move.
optimizer = torch.optim.LBFGS([x], lr=1, max_iter=1, history_size=HISTORY, tolerance_grad=0, tolerance_change=0)
losses = []


def closure():
    optimizer.zero_grad()
    loss = rosenbrock(x)
    loss.backward()
    losses.append(loss.item())
    return loss


for _ in range(STEPS):
    optimizer.step(closure)
Path(__file__).with_name("lbfgs.json").write_text(
    json.dumps({"torch": torch.__version__, "start": START, "history": HISTORY, "losses": losses}, indent=1) + "\n"
)
