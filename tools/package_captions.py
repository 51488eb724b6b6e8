"""Makes the model of captions that comes with imgnn out of a run of `imgnn train caption`.

    imgnn train caption captions.jsonl --network mini -o run
    python tools/package_captions.py run imgnn/assets/captions-mini

Kept are the decoder, its matrices rounded to float16, the words, the config without what is of the machine it was
trained on, and what mini saw in some of the pictures: they are the donors of `imgnn boke`. The pictures themselves,
their names and what people said of them stay where they are.
"""

import argparse
from pathlib import Path

import numpy as np

from imgnn.data.known_pictures import KnownPicture, KnownPictures
from imgnn.jobs.sentence_model import load_sentence_model, save_decoder
from imgnn.networks import registry
from imgnn.training.run_folder import DECODER, METRICS, VOCABULARY, write_config

KEPT = ("kind", "imgnn", "network", "feature", "decoder", "tokenizer", "options", "data", "precision")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--donors", type=int, default=500, help="pictures of which the features are kept")
    options = parser.parse_args()
    package(options.run, options.folder, options.donors)
    size = sum(file.stat().st_size for file in options.folder.iterdir())
    print(f"{options.folder}: {size / 1e6:.2f} MB")


def package(run: Path, folder: Path, donors: int) -> None:
    """Write the package's copy of a run, file by file."""
    model = load_sentence_model(run)
    registry.find(model.feature.network)  # a file of the trainer's would be found nowhere else
    folder.mkdir(parents=True, exist_ok=True)
    save_decoder(folder / DECODER, model.decoder, model.feature, model.vocabulary, {})
    shrink(folder / DECODER)
    model.vocabulary.save(folder / VOCABULARY)
    config = {key: model.config[key] for key in KEPT}
    config["options"] |= {"images": None, "features": None}  # where they were is nobody's business
    write_config(folder, config)
    (folder / METRICS).write_text((run / METRICS).read_text("utf-8"), "utf-8")
    features = KnownPictures.load(run).features[:donors]  # the pictures are in a random order
    nameless = [KnownPicture(f"photo {number}", "", "train", (), ()) for number in range(1, len(features) + 1)]
    KnownPictures(tuple(nameless), features).save(folder)


def shrink(path: Path) -> None:
    """Write the matrices of a checkpoint as float16, and all of it packed.

    Vectors are few numbers, and what features are divided by may be beyond float16.
    """
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays = {name: each.astype("float16") if each.ndim > 1 else each for name, each in arrays.items()}
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main()
