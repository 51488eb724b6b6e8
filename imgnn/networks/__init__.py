"""The networks: what they are made of, and the facts of their published weights.

    registry.py   name -> NetworkSpec: the facts; imports no Keras
    network.py    Network: a Keras model that knows its Caffe names and its preprocessing
    layers.py     Caffe layers that Keras lacks, and one short function for each layer of a builder
    alexnet.py googlenet.py mini.py nin.py resnet.py squeezenet.py vgg.py   one family per file, in the prototxt's order
    feature_network.py   a network that gives one vector for a picture
    random.py     seeded random filters: a network without weights
    applications.py   the networks of keras.applications, as `keras:NAME`
    names.py      from a builder's model to a Network: Caffe's names, read off the graph
    compare.py    whether two networks compute the same
    table.py      a network layer by layer: shape, receptive field, parameters, MACs
    files.py      one self-describing .keras file: graph, weights, facts
    weights.py    finds and downloads published weights, hash-checked
    features.py   a network cut at named layers: dict of activations
    predict.py    images -> top-k; logits.py: what stands before the softmax
    head.py       a new classifier on a network; random weights for training from nothing
    activation_map.py   where in a picture a class was seen: Grad-CAM

Nothing here knows of Caffe's files: `imgnn.caffe` reads those and hands over Keras arrays.
"""
