"""One function for each command: for the command line, the web page, a notebook, a test.

A job reads and writes the files it is told of, reports through the `Reporter` it is given, raises
`ImgnnError`, and returns a small result. What TensorFlow logs is kept quiet (IMGNN_DEBUG=1 brings it back).
"""

from imgnn import backend
from imgnn.runs import is_set

if not is_set("IMGNN_DEBUG"):
    backend.quiet()
