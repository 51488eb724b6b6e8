import hashlib

from imgnn.data.placeholders import PLACEHOLDERS, placeholder_of


def test_a_placeholder_is_known_by_either_hash():
    assert "Flickr" in placeholder_of("0" * 64, "6a92790b1c2a301c6e7ddef645dca1f53ea97ac2")
    assert placeholder_of("0" * 64, "1" * 40) is None
    assert placeholder_of() is None


def test_hashes_are_written_as_hashlib_writes_them():
    for each in PLACEHOLDERS:
        assert (len(each), each) in ((40, each.lower()), (64, each.lower()))


def test_the_notice_of_a_public_data_set_is_one(shared):
    data = (shared / "data" / "imageNotFound.gif").read_bytes()
    assert placeholder_of(hashlib.sha256(data).hexdigest()) == "a notice: this image could not be found"
