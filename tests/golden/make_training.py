"""Writes training.json: learning rates and weights, step by step, as PyTorch makes them.

    python tests/golden/make_training.py      # with PyTorch (made with 2.13.0 on the CPU), which imgnn does not need

The optimisers lower 0.5 * sum(scales * (w - goal) ** 2), float64.
"""

import json
from pathlib import Path

import torch
from torch.optim import lr_scheduler

STEPS = 40
START, GOAL, SCALES = [1.0, -2.0, 0.5, 3.0], [0.2, 0.1, -1.0, 0.0], [1.0, 0.1, 3.0, 0.5]
RATE, DECAY, MOMENTUM = 0.05, 0.1, 0.9


def rates(make, steps=STEPS):
    """The share of the learning rate at each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, result = make(optimizer), []
    for _ in range(steps):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


def weights(make, steps=STEPS):
    """The weights after each step."""
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    goal, scales = (torch.tensor(each, dtype=torch.float64) for each in (GOAL, SCALES))
    optimizer, result = make([w]), []
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * (scales * (w - goal) ** 2).sum()).backward()
        optimizer.step()
        result.append(w.tolist())
    return result


def one_cycle(optimizer):
    # Torch reaches the top at step pct_start * total_steps - 1, and the end at total_steps - 1. As fastai has it, the
    # top is at a quarter of the steps, and the end is what a step after the last would have.
    pct_start = (0.25 * STEPS + 1) / (STEPS + 1)
    return lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=STEPS + 1, pct_start=pct_start, div_factor=25, final_div_factor=1 / 25 / 1e-5
    )


golden = {
    "torch": torch.__version__,
    "one-cycle": rates(one_cycle),
    "cosine": rates(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS)),
    "step": rates(lambda optimizer: lr_scheduler.StepLR(optimizer, 8, gamma=0.1)),
    "problem": {"start": START, "goal": GOAL, "scales": SCALES, "rate": RATE, "decay": DECAY, "momentum": MOMENTUM},
    "sgd": weights(lambda w: torch.optim.SGD(w, RATE, MOMENTUM, weight_decay=DECAY)),
    "adam": weights(lambda w: torch.optim.Adam(w, RATE, (MOMENTUM, 0.99), eps=1e-12, weight_decay=DECAY)),
    "adamw": weights(lambda w: torch.optim.AdamW(w, RATE, (MOMENTUM, 0.99), eps=1e-12, weight_decay=DECAY)),
}
Path(__file__).with_name("training.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
