"""Data sets: where pictures come from, which class they belong to, and what was done with them.

lists.py      list files (`path label`), class words, and the record that tells a stale list
spread.py     the same function over many things, on this machine's cores or on a Dask cluster
"""
