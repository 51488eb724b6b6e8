import h5py
import numpy as np
import pytest
from scipy.io import savemat

from imgnn.data.features_mat import read_features_mat
from imgnn.errors import InputError


def feats_5(path, feats):
    savemat(path, {"feats": feats})


def feats_73(path, feats):
    with h5py.File(path, "w") as file:
        file["feats"] = feats.T  # MATLAB keeps columns together


@pytest.mark.parametrize("save", [feats_5, feats_73])
def test_the_row_of_a_picture_is_its_column_in_matlab(tmp_path, save, random):
    feats = random.normal(size=(4, 3))
    save(tmp_path / "x.mat", feats)
    found = read_features_mat(tmp_path / "x.mat", 3)
    assert (found.shape, found.dtype, found.flags.c_contiguous) == ((3, 4), "float32", True)
    np.testing.assert_array_equal(found[1], feats[:, 1].astype("float32"))
    with pytest.raises(InputError, match="feats has a column for each of 3 pictures; 4 are expected"):
        read_features_mat(tmp_path / "x.mat", 4)


def test_files_without_features_are_refused(tmp_path):
    savemat(tmp_path / "other.mat", {"x": np.zeros(3)})
    with h5py.File(tmp_path / "other73.mat", "w") as file:
        file["x"] = 1.0
    savemat(tmp_path / "text.mat", {"feats": "words"})
    (tmp_path / "no.mat").write_text("no MATLAB file at all")
    for name, message in (
        ("other", "has no variable feats"),
        ("other73", "has no variable feats: found x"),
        ("text", "feats is to be a table of numbers"),
        ("no", "is no MATLAB file that can be read"),
        ("gone", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            read_features_mat(tmp_path / f"{name}.mat")
