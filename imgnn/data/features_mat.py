"""Karpathy's `vgg_feats.mat`: features of the pictures of a caption data set, as MATLAB keeps them."""

from pathlib import Path

import numpy as np

from imgnn.errors import InputError, missing
from imgnn.runs import is_file


def read_features_mat(path: Path, count: int | None = None) -> np.ndarray:
    """The features of `vgg_feats.mat`: MATLAB 5 or 7.3, the variable `feats`, a column for each picture.

    Args:
        count: of pictures that are expected; None: as many as there are.

    Returns:
        float32 `(pictures, features)`; the row of a picture is its `imgid` (`Captioned.number`), or its line in
        `tasks.txt`.

    Raises:
        InputError: it is no such file, or has another number of columns.
    """
    if not is_file(path):
        raise missing(path)
    import h5py  # a quarter of a second, and few need it

    feats = load_mat73(path) if h5py.is_hdf5(path) else load_mat5(path)
    if feats.ndim != 2 or feats.dtype.kind not in "fiu":
        raise InputError(f"{path}: feats is to be a table of numbers; found {feats.dtype} {feats.shape}")
    if count is not None and len(feats) != count:
        raise InputError(f"{path}: feats has a column for each of {len(feats):,} pictures; {count:,} are expected")
    return np.ascontiguousarray(feats, "float32")


def load_mat5(path: Path) -> np.ndarray:
    """`feats`, transposed, of a MATLAB file up to version 7."""
    from scipy.io import loadmat

    try:
        found = loadmat(path, variable_names=["feats"])
    except Exception as error:  # whatever comes out of a damaged file
        raise InputError(f"{path} is no MATLAB file that can be read: {error}") from error
    if "feats" not in found:
        raise InputError(f"{path} has no variable feats")
    return np.asarray(found["feats"]).T


def load_mat73(path: Path) -> np.ndarray:
    """`feats` of a MATLAB file of version 7.3: HDF5, where MATLAB's columns are rows already."""
    import h5py

    try:
        with h5py.File(path) as file:
            if not isinstance(file.get("feats"), h5py.Dataset):
                raise InputError(f"{path} has no variable feats: found {', '.join(file) or 'nothing'}")
            return file["feats"][()]
    except OSError as error:
        raise InputError(f"{path} is no MATLAB file that can be read: {error}") from error
