"""`imgnn train boke`: a decoder that writes funny lines under pictures, from features of a network."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from imgnn.errors import InputError
from imgnn.jobs.boke_data import BokeMaterial, prepare_material
from imgnn.jobs.boke_run import KIND, BokeTraining, TrainedBoke
from imgnn.jobs.boke_texts import read_texts, words_of
from imgnn.jobs.sentence_data import check_same_pictures, facts_of, features_are_kept, spec_of, whole
from imgnn.language.decoder import DecoderSpec
from imgnn.language.vocabulary import Vocabulary
from imgnn.options import TrainBokeOptions
from imgnn.runs import Reporter, Silent, stop_after_step
from imgnn.training.run_folder import VOCABULARY, check_run_folder, options_from, read_config, write_config


def train_boke(
    sources: Sequence[Path],
    folder: Path,
    options: TrainBokeOptions | None = None,
    reporter: Reporter | None = None,
    *,
    command: str = "",
) -> TrainedBoke:
    """Train a decoder on pictures with boke.

    The decoder is that of butsugiri/bokete: a feature of the picture, projected, is added to the embedding of START
    alone; one LSTM layer; the softmax over all tokens.

    Args:
        sources: boke, in any form of `data/boke.py`; several are taken together.
        folder: of the run; made here, must not be a run already.
        command: as it was typed, for the record.

    Raises:
        InputError: the boke, pictures or options do not fit; the run's folder cannot be written.
        InterruptedRun: Ctrl-C; a checkpoint was written.
        DivergedError: the loss is no longer finite; the last good checkpoint is kept.
        UnknownNameError, WeightsError, DownloadError: the network cannot be had.
    """
    began = time.monotonic()
    options, reporter = options or TrainBokeOptions(), reporter or Silent()
    options.check()
    check_run_folder(folder, KIND, early=VOCABULARY)
    options = replace(options, network=whole(options.network))
    texts = read_texts(sources, options, reporter)
    vocabulary = words_of(texts, options.minimum)
    with stop_after_step() as stop:
        with features_are_kept():
            material = prepare_material(texts, vocabulary, options, reporter, stop)
        folder.mkdir(exist_ok=True)
        vocabulary.save(folder / VOCABULARY)
        spec = spec_of(material, options, inject="add")
        config = config_of(material, spec, options, command)
        write_config(folder, {**config, "sources": [str(source.resolve()) for source in sources]})
        return BokeTraining(material, spec, options, folder, reporter, stop, began).run()


def resume_boke(folder: Path, reporter: Reporter | None = None) -> TrainedBoke:
    """Go on with a run where its last checkpoint stands: the end is that of a run that was never stopped.

    Raises:
        InputError: there is no run, or its boke or pictures are others now.
        InterruptedRun, DivergedError: as of `train_boke`.
    """
    began, reporter = time.monotonic(), reporter or Silent()
    config = read_config(folder, KIND)
    # "auto" may mean another precision here; a run ends in the one it was begun in.
    options = replace(options_from(config["options"], TrainBokeOptions), precision=config["precision"])
    texts = read_texts([Path(source) for source in config["sources"]], options, reporter)
    if texts.digest != config["data"]["sha256"]:
        raise InputError(
            f"the boke of {texts.boke.source}, or the tokens they are made into, are not those that {folder} was "
            "begun with",
            hint="imgnn train boke without --resume begins anew",
        )
    with stop_after_step() as stop:
        with features_are_kept():
            material = prepare_material(texts, Vocabulary.load(folder / VOCABULARY), options, reporter, stop)
        check_same_pictures(material, config, folder, texts.boke.source)
        spec = DecoderSpec(**config["decoder"])
        return BokeTraining(material, spec, options, folder, reporter, stop, began, resume=True).run()


def config_of(material: BokeMaterial, spec: DecoderSpec, options: TrainBokeOptions, command: str) -> dict[str, Any]:
    """The content of config.json."""
    boke, tokenizer = material.texts.boke, material.texts.tokenizer
    return {
        **facts_of(KIND, material, spec, options, command),
        "tokenizer": {"name": tokenizer.name, "version": tokenizer.version},
        "data": {
            "form": boke.form,
            "sha256": material.texts.digest,
            **{
                split: {"pictures": len(part), "boke": sum(len(odai.boke) for odai in part.odai)}
                for split in ("train", "val", "test")
                for part in [boke.part(split)]
            },
        },
        "floor": asdict(material.floor),
    }
