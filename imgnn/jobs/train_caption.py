"""`imgnn train caption`: a decoder that writes sentences for pictures, from features of a network."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgnn.errors import InputError
from imgnn.jobs.caption_data import CaptionMaterial, prepare_material, read_data, tokens_of, words_of
from imgnn.jobs.caption_run import CaptionTraining, TrainedCaption
from imgnn.jobs.sentence_data import check_same_pictures, facts_of, features_are_kept, spec_of, whole
from imgnn.jobs.sentence_model import KIND
from imgnn.language.decoder import DecoderSpec
from imgnn.language.metrics import FEW
from imgnn.language.vocabulary import Vocabulary
from imgnn.options import TrainCaptionOptions
from imgnn.runs import Reporter, Silent, stop_after_step
from imgnn.training.run_folder import VOCABULARY, check_run_folder, options_from, read_config, write_config


def train_caption(
    source: Path,
    folder: Path,
    options: TrainCaptionOptions | None = None,
    reporter: Reporter | None = None,
    *,
    command: str = "",
) -> TrainedCaption:
    """Train a decoder on pictures with sentences.

    Args:
        source: captions, in any form of `data/caption_files.py`.
        folder: of the run; made here, must not be a run already.
        command: as it was typed, for the record.

    Raises:
        InputError: the captions, pictures or options do not fit; the run's folder cannot be written.
        InterruptedRun: Ctrl-C; a checkpoint was written.
        DivergedError: the loss is no longer finite; the last good checkpoint is kept.
        UnknownNameError, WeightsError, DownloadError: the network cannot be had.
    """
    began = time.monotonic()
    options, reporter = options or TrainCaptionOptions(), reporter or Silent()
    options.check()
    check_run_folder(folder, KIND, early=VOCABULARY)
    options = replace(options, network=whole(options.network))
    captions = read_data(source, options, reporter)
    tokens = tokens_of(captions)
    vocabulary = words_of(captions, tokens, options.minimum)
    if (count := len(captions.part("val"))) < FEW:
        reporter.note(f"CIDEr-D over {count:,} pictures of val, fewer than {FEW}, says little of which epoch is best")
    with stop_after_step() as stop:
        with features_are_kept():
            material = prepare_material(captions, tokens, vocabulary, options, reporter, stop)
        folder.mkdir(exist_ok=True)
        vocabulary.save(folder / VOCABULARY)
        spec = spec_of(material, options)
        write_config(folder, {**config_of(material, spec, options, command), "source": str(source.resolve())})
        return CaptionTraining(material, spec, options, folder, reporter, stop, began).run()


def resume_caption(folder: Path, reporter: Reporter | None = None) -> TrainedCaption:
    """Go on with a run where its last checkpoint stands: the end is that of a run that was never stopped.

    Raises:
        InputError: there is no run, or its captions or pictures are others now.
        InterruptedRun, DivergedError: as of `train_caption`.
    """
    began, reporter = time.monotonic(), reporter or Silent()
    config = read_config(folder, "caption")
    # "auto" may mean another precision here; a run ends in the one it was begun in.
    options = replace(options_from(config["options"], TrainCaptionOptions), precision=config["precision"])
    captions = read_data(Path(config["source"]), options, reporter)
    if captions.digest != config["data"]["sha256"]:
        raise InputError(
            f"the captions of {captions.source} are not those that {folder} was begun with",
            hint="imgnn train caption without --resume begins anew",
        )
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    with stop_after_step() as stop:
        with features_are_kept():
            material = prepare_material(captions, tokens_of(captions), vocabulary, options, reporter, stop)
        check_same_pictures(material, config, folder, captions.source)
        spec = DecoderSpec(**config["decoder"])
        return CaptionTraining(material, spec, options, folder, reporter, stop, began, resume=True).run()


def config_of(
    material: CaptionMaterial, spec: DecoderSpec, options: TrainCaptionOptions, command: str
) -> dict[str, Any]:
    """The content of config.json."""
    captions = material.captions
    return {
        **facts_of(KIND, material, spec, options, command),
        "tokenizer": {"name": "ptb"},
        "data": {
            "form": captions.form,
            "sha256": captions.digest,
            **{
                split: {"pictures": len(part), "captions": sum(len(image.captions) for image in part.images)}
                for split in ("train", "val", "test")
                for part in [captions.part(split)]
            },
        },
    }
