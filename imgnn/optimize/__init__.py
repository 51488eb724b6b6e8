"""Optimisation on images: the parts of which style and dream are short recipes.

    objectives.py   content, style (Gram), dream and TV losses: functions that add and scale
    calibrate.py    how strongly the layers of a network answer, so that weights mean the same with each
    parameters.py   what is optimised: pixels, or the Fourier coefficients of fourier.py
    evaluate.py     a loss and its gradient, of a whole picture or tile by tile (tiles.py)
    optimizers.py   L-BFGS and Adam behind one call, on the device
    loop.py         evaluate, move, report; an interrupt keeps the best picture so far
    scales.py, transforms.py, dreaming.py     octaves, gradients and objectives of the dream
    regularise.py   what keeps the picture of a class smooth

A recipe looks through a network (`networks/features.py`), adds objectives, hands their evaluation to
`loop.minimise`, and saves what comes back. Nothing here reads a file.
"""
