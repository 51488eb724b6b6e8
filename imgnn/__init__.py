"""imgnn: the classic image networks and the recipes on top of them, in Keras 3.

This module holds the version and imports nothing heavy. The parts:

    cli -> jobs -> networks | optimize | images | caffe -> backend -> Keras
"""

__version__ = "0.1.0"
