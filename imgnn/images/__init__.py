"""Pixels in and out of the program: everything between a file and a network's input.

    files.py          picture files <-> `image`: uint8 `(height, width, 3)`, sRGB; settings kept in the file
    decode.py         bytes -> pixels, of every format that is read; what is told of bytes that are none
    resize.py         other sizes, antialiased, of images and of float arrays
    preprocessing.py  the facts: mean, channel order, scale, size
    preprocess.py     `image` <-> `x`: channel order, mean, scale; the crops that a classifier looks at
    mean.py           a mean image or mean pixel kept as a file
    inspection.py     what is known of a picture once it was decoded
    structure.py      what pictures have in common, seen in their mean
    colours.py        the colours of a picture without its brushwork
    masks.py          where in a picture something is to happen
    augment.py        pictures a little different each time they are trained on
    heat.py           a map of heat laid over a picture
    sheet.py          contact sheets: many pictures on one page, with their names
    video.py          frames -> a film, an animation, a folder

Arrays in, arrays out: nothing here knows a network's layers, and only `files.py`, `decode.py`, `mean.py`, `masks.py`
and `video.py` open a file.
"""
