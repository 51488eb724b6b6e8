import pytest

from imgnn.errors import ImgnnError, InputError, InterruptedRun, UnknownNameError, missing


def test_an_unknown_name_offers_the_near_ones():
    error = UnknownNameError("network", "vgg-19", ["vgg16", "vgg19", "googlenet"])
    assert str(error) == "no network is called 'vgg-19'; did you mean 'vgg19' or 'vgg16'?"


def test_an_unknown_name_offers_names_that_contain_it():
    error = UnknownNameError("layer", "3a", ["inception_3a/output", "conv1"])
    assert str(error) == "no layer is called '3a'; did you mean 'inception_3a/output'?"


def test_nothing_near_offers_nothing():
    assert str(UnknownNameError("layer", "zzz", ["conv1"])) == "no layer is called 'zzz'"


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "a\x0bb", "a\x1b[31mb", "a\u2028b", "a\x9bb"])
def test_a_message_is_one_line_that_no_terminal_obeys_whatever_it_quotes(name):
    for error in (InputError(f"no column {name}"), missing(name), UnknownNameError("layer", name, [])):
        assert len(str(error).splitlines()) == 1
        assert not any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in str(error))
    assert str(InputError("ボケ　名前 ü")) == "ボケ　名前 ü"


@pytest.mark.parametrize(("error", "code"), [(ImgnnError("x"), 1), (InterruptedRun("x"), 130)])
def test_exit_codes(error, code):
    assert error.exit_code == code


def test_of_a_missing_file_the_near_names_beside_it_are_offered(tmp_path):
    (tmp_path / "photos_train.txt").touch()
    (tmp_path / "cat.jpg").touch()
    path = tmp_path / "photos_trian.txt"
    assert missing(path).told() == f"no such file: {path}; did you mean 'photos_train.txt'?"
    assert missing(tmp_path / "zzz", "folder").told() == f"no such folder: {tmp_path / 'zzz'}"
    assert missing(tmp_path / "nowhere" / "cat.jpg").told() == f"no such file: {tmp_path / 'nowhere' / 'cat.jpg'}"
