"""Pictures that stand for one that is gone: what a server sends in its place, with a hearty 200 OK."""

# SHA-256 or SHA-1 of the file -> what it is.
PLACEHOLDERS = {
    # Source: BVLC/caffe, examples/finetune_flickr_style/assemble_data.py, MISSING_IMAGE_SHA1.
    "6a92790b1c2a301c6e7ddef645dca1f53ea97ac2": "Flickr's notice: this photo is no longer available",
    # Met in the place of a photo in a public data set.
    "6b4966252973c581b521f804453c6a0649ea6a2ce7e3e5c7deeb7d80623de231": "a notice: this image could not be found",
}


def placeholder_of(*hashes: str) -> str | None:
    """What a file is, if it is a known placeholder; else None.

    Args:
        hashes: SHA-1 and SHA-256 of its bytes, in hexadecimal; either will do.
    """
    return next((PLACEHOLDERS[each] for each in hashes if each in PLACEHOLDERS), None)
