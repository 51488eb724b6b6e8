"""Writes a packaged table of class words from a list of synsets.

    python tools/make_class_words.py synset_words.txt imgnn/assets/imagenet_classes.tsv

The list has one line for each class, in the order of the network's outputs: the WordNet id and the
synset's words, comma-separated, as the class lists of ILSVRC-2012 do (`n02123045 tabby, tabby cat`). The
table has index, id and words with tabs between, words separated by "; ".
"""

import re
import sys
from pathlib import Path

HEADER = "# class_index\twnid\twords. Source: the synsets of ILSVRC-2012 in Caffe's order; words of WordNet 3.0.\n"


def table(lines: list[str]) -> str:
    """The table for `lines` ("n02123045 tabby, tabby cat").

    Raises:
        ValueError: a line does not start with a WordNet id, or an id comes twice.
    """
    rows, seen = [], set()
    for number, line in enumerate(lines, 1):
        found = re.fullmatch(r"(n\d{8})\s+(\S.*)", line.strip())
        if not found or found[1] in seen:
            raise ValueError(f"line {number}: expected a new WordNet id and words, got {line!r}")
        seen.add(found[1])
        words = [word.strip() for word in found[2].split(",")]
        rows.append(f"{number - 1}\t{found[1]}\t{'; '.join(words)}\n")
    return HEADER + "".join(rows)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:3])
    target.write_text(table(source.read_text(encoding="utf-8").splitlines()), encoding="utf-8")
    print(f"{target}: {sum(1 for _ in target.open()) - 1} classes")
