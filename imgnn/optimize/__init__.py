"""Optimisation on images: the parts of which style (and dream, later) are short recipes.

    objectives.py   content, style (Gram) and TV losses: functions that add and scale
    parameters.py   what is optimised: the pixels
    optimizers.py   L-BFGS and Adam behind one call, on the device
    loop.py         evaluate, move, report; an interrupt keeps the best picture so far

A recipe cuts a network (`networks/features.py`), adds objectives, hands their gradient
(`backend.value_and_grad`) to `loop.minimise`, and saves what comes back. Nothing here reads a file.
"""
