"""The readers of others' files, fed with bytes that nobody meant (https://github.com/google/atheris).

`targets` is the table of readers, each with its seeds; `watch` says what counts as a finding; `__main__` starts it all:

    python -m fuzz prototxt --runs 1000000
"""
