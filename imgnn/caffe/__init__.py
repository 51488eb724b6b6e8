"""Caffe's files and what they mean; nothing outside this folder knows a blob.

    schema.py     the one table of fields: number, name, kind, default
    message.py    Message: fields as attributes, whichever form they were read from
    wire.py       the bytes of .caffemodel and .binaryproto, memory-mapped, without protobuf
    mean.py       writes a mean image, as a .binaryproto
    prototxt.py   the text form; unknown fields are kept and reported, never fatal
    sniff.py      what a file is that should have been one of those
    layer.py      Layer and Transform: what a net is made of
    net.py        read_net: definition and weights as one list of layers, for one phase
    deploy.py     the net that was trained -> the net that answers
    filler.py     blobs that the file lacks: shared by name, or what their filler gives
    graph.py      a net -> one flat Keras functional model
    layout.py     blob axes -> kernel axes
    reference.py  Caffe's layers in NumPy, from Caffe's rules
    verify.py     blob by blob against a second opinion

Reading goes wire.py or prototxt.py -> net.py -> deploy.py; the rest starts from a Net.
"""
