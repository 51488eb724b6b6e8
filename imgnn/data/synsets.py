"""WordNet's synsets: their words, and which is a kind of which. ImageNet's files `words.txt` and `wordnet.is_a.txt`."""

import re
from collections import defaultdict
from pathlib import Path

from imgnn.data.lists import lines_of
from imgnn.errors import InputError

WNID = re.compile(r"n[0-9]{8}")


def read_words(path: Path) -> dict[str, str]:
    """Names of classes: a line `n02123045 tabby, tabby cat` each (a tab or a space between), or `3 Romantic`, or the
    names alone, of which the first belongs to class 0.

    Returns:
        Label -> the folder's name: "n02123045" -> "n02123045 tabby", "3" -> "03 Romantic".

    Raises:
        InputError: the file cannot be read or is empty.
    """
    lines = [line.strip() for _, line in lines_of(path)]
    if not lines:
        raise InputError(f"{path} is empty; a line for each class is expected: `n02123045 tabby, tabby cat`")
    pairs = [line.split(None, 1) for line in lines]
    if all(WNID.fullmatch(pair[0]) for pair in pairs):
        return {pair[0]: f"{pair[0]} {pair[-1].partition(',')[0]}" if len(pair) == 2 else pair[0] for pair in pairs}
    if not all(len(pair) == 2 and pair[0].isascii() and pair[0].isdecimal() for pair in pairs):
        pairs = [[str(number), line] for number, line in enumerate(lines)]
    digits = max(len(pair[0]) for pair in pairs)
    # A list may have 3 where this has 03, and the other way round.
    return {number.lstrip("0") or "0": f"{number.zfill(digits)} {name}" for number, name in pairs}


def descendants(wnid: str, path: Path) -> frozenset[str]:
    """A synset and everything that is a kind of it, at any depth.

    Args:
        path: `wordnet.is_a.txt`: a line `parent child` each.

    Raises:
        InputError: a line is something else, or the file does not name the synset.
    """
    children: dict[str, list[str]] = defaultdict(list)
    known = False
    for number, line in lines_of(path):
        words = line.split()
        if len(words) != 2 or not all(map(WNID.fullmatch, words)):
            raise InputError(
                f"{path}, line {number}: a line is `n00001740 n00001930`, parent and child; found {line!r}"
            )
        children[words[0]].append(words[1])
        known = known or wnid in words
    if not known:
        raise InputError(f"{path} does not name {wnid}")
    found, ahead = {wnid}, [wnid]
    while ahead:
        for child in children[ahead.pop()]:
            if child not in found:
                found.add(child)
                ahead.append(child)
    return frozenset(found)
