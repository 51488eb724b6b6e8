"""Pixels in and out of the program: everything between a file and a network's input.

    files.py          picture files <-> `image`: uint8 `(height, width, 3)`, sRGB; settings kept in the file
    resize.py         other sizes, antialiased, of images and of float arrays
    preprocessing.py  the facts: mean, channel order, scale, size
    preprocess.py     `image` <-> `x`: channel order, mean, scale; the crops that a classifier looks at
    mean.py           a mean image or mean pixel kept as a file

Arrays in, arrays out: nothing here knows a network's layers, and only `files.py` and `mean.py` open a file.
"""
