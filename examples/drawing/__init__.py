"""The pictures inside the package, each drawn by one module of this folder: `draw()` gives the picture, seeded.

`python -m drawing.painting`, from `examples/`, writes `imgnn/assets/examples/painting.jpg` again. NumPy, SciPy and
Pillow are enough. What several modules need lies in `texture.py`: noise, light on a relief, the file.
"""
