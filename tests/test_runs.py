import pytest

from imgnn.errors import InputError
from imgnn.runs import write_aside


def test_a_file_written_aside_appears_whole(tmp_path):
    path = tmp_path / "out.txt"
    with write_aside(path) as aside:
        assert aside.suffix == ".txt"
        aside.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [each.name for each in tmp_path.iterdir()] == ["out.txt"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="half way"), write_aside(path) as aside:
        aside.write_text("ne")
        raise ValueError("half way")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["out.txt"]


def test_a_folder_that_is_missing_is_told(tmp_path):
    path = tmp_path / "nowhere" / "out.txt"
    with pytest.raises(InputError, match="No such file or directory") as caught, write_aside(path) as aside:
        aside.write_text("x")
    assert str(caught.value) == f"cannot write {path}: No such file or directory"
