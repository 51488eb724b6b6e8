"""The captions in the shared folder, as they are written there."""

import json
from pathlib import Path


def shared_texts(shared: Path) -> dict[str, list[str]]:
    """Every caption of each data set, each in one line."""
    data = shared / "data"
    rows = [line.split("\t") for line in read(data / "flickr8k_text" / "Flickr8k.token.txt").splitlines()]
    photos = [json.loads(line) for line in read(data / "captions_en" / "captions.jsonl").splitlines()]
    coco = [json.loads(read(path)) for path in sorted((data / "coco_mini" / "annotations").glob("*.json"))]
    aerial = json.loads(read(data / "ucm_captions" / "dataset.json"))
    texts = {
        "flickr8k_text": [caption for _, caption in rows],
        "captions_en": [caption for photo in photos for caption in photo["captions"]],
        "coco_mini": [each["caption"] for part in coco for each in part["annotations"]],
        "ucm_captions": [each["raw"] for image in aerial["images"] for each in image["sentences"]],
    }
    return {name: [" ".join(text.split()) for text in each] for name, each in texts.items()}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
