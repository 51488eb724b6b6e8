"""`imgnn evaluate caption`, as it is typed."""

import json
import subprocess
import sys

import pytest

from imgnn.language.metrics import DocumentFrequency
from tests.jobs.made_captions import make_model, paint_halves

FEW = "Warning: CIDEr-D counts how rare words are over 3 pictures"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """In this folder: run/, and captions.jsonl with three pictures to be judged by, one that the model gets wrong."""
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "run", end=2.0)
    pictures = (
        ("l", "test", (255, 0), ["left", "left dark"]),
        ("r", "test", (0, 255), ["right", "dark right"]),
        ("m", "test", (255, 0), ["right", "right"]),
        ("v", "val", (0, 255), ["right"]),
        ("a", "train", (255, 0), ["left"]),
        ("b", "train", (0, 255), ["dark right", "right"]),
    )
    lines = []
    for name, split, halves, captions in pictures:
        paint_halves(tmp_path / f"{name}.png", *halves)
        lines.append(json.dumps({"image": f"{name}.png", "split": split, "captions": captions}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    return tmp_path


@pytest.fixture
def evaluate(cli, folder):
    def run(*words, **options):
        return cli("evaluate", "caption", "captions.jsonl", *words, **options)

    return run


@pytest.fixture
def judge(evaluate):
    """With the model, in float32, which says one word of each picture."""

    def run(*words, **options):
        return evaluate("--model", "run", "--precision", "float32", "--no-repeat-ngram", 1, *words, **options)

    return run


def lines_of(shown):
    return [line.split() for line in shown.splitlines() if line.strip()]


def test_scores_stand_beside_those_of_retrieval_and_people(judge):
    result = judge(env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.stderr
    assert FEW in result.stderr
    lines = lines_of(result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert lines[0] == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D", "distinct", "novel"]
    rows = {words[0]: words for words in lines[2:5]}
    assert list(rows) == ["model", "retrieval", "people"]
    # Two of three words; only "left" is in the training captions as it stands, and "right", the second of b.png.
    assert (rows["model"][1], rows["model"][7:]) == ("0.667", ["2", "0.0", "%"])
    # "left", "dark right", "left": three of four words.
    assert (rows["retrieval"][1], rows["retrieval"][7:]) == ("0.750", ["2", "0.0", "%"])
    # "left", "right", "right" of two, two and one word: brevity costs exp(1 - 5/3).
    assert (rows["people"][1], rows["people"][7:]) == ("0.513", ["2", "0.0", "%"])
    facts = {words[0]: words for words in lines[5:]}
    assert " ".join(facts["words"]) == "words 2 different ones of the 3 that the model knows"
    assert " ".join(facts["length"]) == "length 1.0 words of a caption"
    assert facts["Div-1"][:2] == ["Div-1", "0.667"] and facts["ends"][:3] == ["ends", "badly", "0.0"]
    assert {"perplexity", "image"} <= facts.keys()
    assert [" ".join(words) for words in lines[-3:]] == [
        "3 pictures (test), 6 references",
        "Tokenizer: imgnn's, of the Penn Treebank",
        "CIDEr-D: document frequencies over 3 pictures",
    ]


def test_json_has_every_number(judge):
    found = json.loads(judge("--json").stdout)
    assert found.pop("perplexity") > 1 and found.pop("nats_per_token") > 0
    assert found.pop("image_gain") == pytest.approx(0)  # what r.png loses, m.png gains: its caption is that of r.png
    scores = found.pop("scores")
    assert list(scores) == ["model", "retrieval", "people"]
    assert scores["model"].pop("cider_d") > 0 and scores["model"].pop("bleu_4") < 0.1
    assert [scores["model"].pop(name) for name in ("bleu_1", "rouge_l")] == pytest.approx([2 / 3] * 2)
    assert scores["model"].keys() == {"pictures", "bleu_2", "bleu_3", "meteor", "distinct", "novel"}
    assert found.pop("div_1") == pytest.approx(2 / 3)
    assert found == {
        "data": "captions.jsonl",
        "split": "test",
        "pictures": 3,
        "references": 6,
        "models": ["run"],
        "results": None,
        "tokenizer": "imgnn's, of the Penn Treebank",
        "document_frequency": {"file": None, "images": 3},
        "words_used": 2,
        "words_known": 3,
        "mean_length": 1.0,
        "div_2": 0.0,
        "ends_badly": 0.0,
        "skipped": [],
        "files": [],
    }


def test_files_are_written_and_named_last(judge, folder):
    words = ("-o", "t.csv", "--write-results", "r.json", "--write-cider-df", "df.json", "--sheet", "s.png")
    result = judge(*words)
    assert result.stdout.splitlines()[-4:] == ["t.csv", "r.json", "df.json", "s.png"]
    head, first = (folder / "t.csv").read_text().splitlines()[:2]
    assert head == "picture,caption,cider_d,bleu_4,rouge_l,log_prob,references"
    assert first.startswith("l.png,left,") and first.endswith(",left | left dark")
    assert json.loads((folder / "r.json").read_text())[1] == {"image_id": "r", "caption": "right"}
    assert DocumentFrequency.load(folder / "df.json").counts == {("right",): 2, ("dark",): 2}


def test_a_result_file_is_judged_without_pictures(evaluate, folder):
    for path in folder.glob("*.png"):
        path.unlink()
    DocumentFrequency(5000, {}).save(folder / "df.json")
    (folder / "r.json").write_text(json.dumps([{"image_id": name, "caption": "left"} for name in "lr"]))
    result = evaluate("--results", "r.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: r.json: 1 of 3 pictures have no sentence, the first 'm'\nTry: --partial" in result.stderr
    result = evaluate("--results", "r.json", "--partial", "--cider-df", "df.json")
    assert result.exit_code == 0
    assert "Warning" not in result.stderr
    lines = lines_of(result.stdout)
    assert [words[0] for words in lines[2:4]] == ["results", "people"]
    assert lines[2][1] == "0.500"
    assert "perplexity" not in result.stdout and "2 different" not in result.stdout
    assert " ".join(lines[-1]) == "CIDEr-D: document frequencies over 5,000 pictures of df.json"


def test_what_imgnn_caption_says_as_coco_is_judged_by_its_ids(cli, evaluate, folder):
    for name, halves in (("COCO_val2014_000000391895", (255, 0)), ("r", (0, 255))):
        paint_halves(folder / "photos" / f"{name}.png", *halves)
    pictures = {"photos/COCO_val2014_000000391895.png": "left", "photos/r.png": "right"}
    lines = (json.dumps({"image": name, "split": "test", "captions": [text]}) for name, text in pictures.items())
    (folder / "captions.jsonl").write_text("\n".join(lines))
    words = ("--model", "run", "--precision", "float32", "--no-repeat-ngram", 1)
    assert cli("caption", "photos", *words, "--format", "coco", "-o", "r.json").exit_code == 0
    result = evaluate("--results", "r.json", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["scores"]["results"]["bleu_1"] == pytest.approx(1)


def test_people_alone_are_judged_without_model(evaluate):
    result = evaluate()
    assert result.exit_code == 0
    lines = lines_of(result.stdout)
    assert lines[2][0] == "people"
    assert " ".join(lines[3]) == "people: the first caption of each picture, judged by its others"


def test_pictures_that_cannot_be_read_are_named_and_the_exit_code_tells(judge, folder):
    (folder / "m.png").write_bytes(b"no picture")
    result = judge("--json")
    assert result.exit_code == 1
    assert "Skipped: m.png" in result.stderr
    assert result.stderr.endswith("Error: 1 of 3 pictures could not be read\n")
    found = json.loads(result.stdout)
    assert [each["file"] for each in found["skipped"]] == ["m.png"]
    assert found["scores"]["model"]["bleu_1"] == pytest.approx(1)


def test_meteor_stands_below_the_table(evaluate, monkeypatch):
    monkeypatch.setattr("imgnn.jobs.evaluate_caption.missing", lambda: None)
    monkeypatch.setattr("imgnn.jobs.evaluate_caption_scores.meteor", lambda hypotheses, references: 0.25)
    assert ["METEOR", "0.250"] in lines_of(evaluate("--meteor").stdout)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--model", "run", "--results", "r.json"), "--results does not go with --model"),
        (("--beam", 5), "--beam goes with --model"),
        (("--results", "r.json", "--length-penalty", 1), "--length-penalty goes with --model"),
        (("--model", "run", "--partial"), "--partial goes with --results"),
        (("--model", "run", "--weights", "2,1"), "--weights has 2 numbers for 1 models"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(evaluate, words, told):
    result = evaluate(*words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())


def test_a_folder_that_is_no_run_is_one_line(evaluate, folder):
    (folder / "none").mkdir()
    result = evaluate("--model", "none")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: none is no run of imgnn")


@pytest.mark.parametrize("words", [(), ("--results", "r.json")])
def test_keras_is_imported_for_models_alone(folder, words):
    (folder / "r.json").write_text(json.dumps([{"image_id": name, "caption": "left"} for name in "lrm"]))
    code = "import sys; from imgnn.cli.app import app; app(standalone_mode=False); print('keras' in sys.modules)"
    command = [sys.executable, "-c", code, "evaluate", "caption", "captions.jsonl", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "False"


def test_help_wakes_nothing_heavy():
    code = "import sys; from imgnn.cli.app import app; app(standalone_mode=False); print([*sys.modules])"
    words = ("evaluate", "caption", "--help")
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert "'keras'" not in result.stdout and "'numpy'" not in result.stdout
