"""`python -m benchmarks`: rounds, medians, what is skipped, the result file, and the page that is made of it."""

import json
import subprocess
import sys

import pytest

from benchmarks import __main__ as run
from benchmarks import comparison, growth, peers, report
from benchmarks.comparison import Row, Setting, Skipped
from benchmarks.parts import PARTS, Part

MACHINE = {"processor": "An Abacus (beads)", "cores": 2, "memory_gb": 1, "python": "3.11.0", "keras": "3.15"}


def rounds_of(*seconds):
    """A part that takes so long in each round, beside PyTorch, which takes twice as long."""
    left = iter(seconds)

    def rows(setting):
        taken = next(left)
        yield Row("a sum", "s", taken, "PyTorch", 2 * taken if setting.has("PyTorch") else None)

    return Part(rows, "sums", ("PyTorch",))


def table_of(part, setting, rounds, name="sums"):
    facts = run.measure({name: part}, setting, rounds, MACHINE)
    return report.tables(report.Result(facts))[name]


def test_a_figure_is_the_median_of_its_rounds_with_the_range(tmp_path):
    text = table_of(rounds_of(0.3, 0.1, 0.2), Setting(tmp_path), rounds=3)
    assert "| a sum | 0.200 s (0.100 to 0.300) | PyTorch | 0.400 s (0.200 to 0.600) | 0.50 |" in text
    assert "Medians of 3 rounds" in text


def test_the_machine_is_told_with_its_rounds_loads_and_what_else_it_did(tmp_path, monkeypatch):
    loads = iter((0.5, 7.25, 3.0))
    monkeypatch.setattr(run.os, "getloadavg", lambda: (next(loads), 0, 0))
    facts = run.measure({"sums": rounds_of(0.1, 0.2, 0.3)}, Setting(tmp_path), 3, MACHINE, "It had much to do.")
    assert report.tables(report.Result(facts))["machine"] == (
        "- sums: An Abacus (beads), 2 cores, 1 GB; Python 3.11.0, Keras 3.15; "
        f"{facts['sums']['date']}, rounds: 3, load 0.5 to 7.2. It had much to do."
    )


def test_parts_of_two_machines_keep_each_its_own(tmp_path):
    path, other = tmp_path / "result.json", {**MACHINE, "processor": "A Slide Rule", "cores": 1}
    for name, machine, meanwhile in (("a", MACHINE, "It had much to do."), ("b", MACHINE, ""), ("c", other, "")):
        facts = run.measure({name: rounds_of(0.1)}, Setting(tmp_path), 1, machine, meanwhile)
        report.save(report.Result(facts), path)
    found = report.load(path)
    assert [part["machine"] for part in found.parts.values()] == [MACHINE, MACHINE, other]
    lines = report.tables(found)["machine"].splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "- a: An Abacus (beads), 2 cores, 1 GB",
        "- b: An Abacus (beads), 2 cores, 1 GB",
        "- c: A Slide Rule, 1 cores, 1 GB",
    ]
    assert ["It had much to do." in line for line in lines] == [True, False, False]


def test_what_is_the_same_in_every_round_is_measured_once_without_range_or_load(tmp_path):
    part = Part(lambda setting: [Row("a box", "MB", 7)], "", once=True)
    facts = run.measure({"weight": part}, Setting(tmp_path), 3, MACHINE)["weight"]
    assert (facts["rounds"], facts["load"]) == (1, [])
    assert report.table(facts) == f"| | imgnn |\n|---|---|\n| a box | 7.00 MB |\n\n{facts['date']}."


def test_parts_take_turns(tmp_path):
    order = []

    def part(name):
        return Part(lambda setting: [Row(name, "s", len(order))] if order.append(name) is None else [], name)

    run.measure({"a": part("a"), "b": part("b")}, Setting(tmp_path), 2, MACHINE)
    assert order == ["a", "b", "a", "b"]


def test_a_peer_that_is_not_installed_is_skipped_in_words(tmp_path):
    setting = Setting(tmp_path, missing={"PyTorch": "PyTorch is not installed: pip install torch"})
    text = table_of(rounds_of(0.1), setting, rounds=1)
    assert "| a sum | 0.100 s | PyTorch | skipped |  |" in text
    assert "Skipped: PyTorch is not installed: pip install torch." in text


def test_a_part_that_cannot_run_is_skipped_and_one_that_fails_does_not_stop_the_others(tmp_path, capsys):
    def lacks(setting):
        raise Skipped("nginx is not installed: apt install nginx")

    def fails(setting):
        raise SystemExit("the two networks differ")

    parts = {"lacks": Part(lacks, ""), "fails": Part(fails, ""), "sums": rounds_of(0.1, 0.1)}
    facts = run.measure(parts, Setting(tmp_path), 2, MACHINE)
    assert facts["lacks"]["notes"] == ["skipped: nginx is not installed: apt install nginx"]
    assert report.table(facts["lacks"]) == "Skipped: nginx is not installed: apt install nginx."
    assert facts["fails"]["notes"] == ["failed: the two networks differ"]
    assert facts["sums"]["rounds"] == 2
    assert "round 2 of 2: fails" not in capsys.readouterr().err  # it is not tried again


def test_an_interrupt_keeps_the_rounds_that_are_finished(tmp_path):
    seconds = iter((0.1, 0.2))

    def rows(setting):
        taken = next(seconds, None)
        if taken is None:
            raise KeyboardInterrupt
        yield Row("a sum", "s", taken)

    facts = run.measure({"sums": Part(rows, "")}, Setting(tmp_path), 5, MACHINE)["sums"]
    assert (facts["rounds"], facts["rows"][0]["ours"], facts["notes"]) == (2, [0.1, 0.2], [])


def test_a_share_below_one_is_less_time_and_also_a_higher_rate():
    assert report.share({"unit": "s", "ours": [1, 2, 30], "theirs": [2, 4, 10]}) == 0.5
    assert report.share({"unit": "pictures/s", "ours": [40], "theirs": [10]}) == 0.25


def test_two_rows_of_one_name_are_a_mistake():
    with pytest.raises(AssertionError, match="two rows have one name"):
        report.as_facts([[Row("a", "s", 1), Row("a", "s", 2)]], [], 1, [0.5])


def test_what_is_made_for_the_measurements_is_made_in_the_first_round(tmp_path):
    made, setting = [], Setting(tmp_path)
    for _ in range(2):
        path = setting.once("file", lambda path: made.append(path.write_text("made")))
    assert (path.read_text(), len(made)) == ("made", 1)


def test_ones_own_photos_take_the_place_of_the_packages(tmp_path):
    photos = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    assert [Setting(tmp_path).example(name).name for name in ("sky", "painting")] == ["sky.jpg", "painting.jpg"]
    assert [Setting(tmp_path, photos=photos).example(name) for name in ("sky", "painting")] == photos
    assert Setting(tmp_path, photos=photos).pictures() == photos


def test_missing_peers_are_found_and_told_how_to_install(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")  # one without PyTorch
    python.chmod(0o755)
    assert comparison.find_missing(str(python))["PyTorch"].startswith("PyTorch is not installed: pip install torch")


def test_a_result_file_keeps_the_parts_that_were_not_measured_again(tmp_path):
    path = tmp_path / "result.json"
    for name, seconds in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        facts = run.measure({name: rounds_of(seconds)}, Setting(tmp_path), 1, MACHINE)
        report.save(report.Result(facts), path)
    found = report.load(path)
    assert {name: part["rows"][0]["ours"] for name, part in found.parts.items()} == {"a": [3.0], "b": [2.0]}
    assert '"ours": [3.0]' in path.read_text()  # numbers of a list share a line
    assert json.dumps(MACHINE) in path.read_text()


def test_tables_are_replaced_between_their_markers_and_nothing_else():
    page = "By hand.\n<!-- benchmarks: a -->\nold\n<!-- end -->\nAlso.\n<!-- benchmarks: b -->\nkept\n<!-- end -->\n"
    changed = report.put(page, {"a": "new\nlines \\1"})
    assert changed == page.replace("old", "new\nlines \\1")
    assert report.blocks(changed) == {"a": "new\nlines \\1", "b": "kept"}


def test_every_part_has_its_place_in_the_page():
    page = report.PAGE.read_text("utf-8")
    assert sorted(found[2] for found in report.BLOCK.finditer(page)) == sorted([*PARTS, "machine"])


def test_the_page_has_the_tables_of_the_last_run():
    assert report.blocks(report.PAGE.read_text("utf-8")) == report.tables(report.load(report.newest()))


def test_the_last_run_has_all_parts_and_each_its_peers():
    result = report.load(report.newest())
    assert set(result.parts) == set(PARTS)
    without = {
        name
        for name, facts in result.parts.items()
        if PARTS[name].peers and not any("theirs" in row for row in facts["rows"])
    }
    assert without == set()
    assert [note for facts in result.parts.values() for note in facts["notes"]] == []


def test_parts_are_listed_with_their_peers(capsys):
    run.main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(PARTS)
    assert lines[0].endswith("(PyTorch)")


def test_an_unknown_part_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as end:
        run.main(["styles"])
    assert end.value.code == 2
    assert "there is no part styles; the parts are style, dream" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--render", "nowhere.json"], "No such file or directory: 'nowhere.json'"),
        (["--render", "words.json"], "words.json is no file of results"),
        (["sums", "--out", "words.json"], "words.json is no file of results"),
        (["sums", "--peer-python", "nowhere/python"], "--peer-python: there is no program nowhere/python"),
        (["sums", "--rounds", "0"], "--rounds: at least 1"),
    ],
)
def test_what_could_not_be_used_is_told_before_anything_is_measured(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.json").write_text('["a", "b"]')
    monkeypatch.setattr(run, "PARTS", {"sums": Part(None, "")})
    with pytest.raises(SystemExit) as end:
        run.main(words)
    assert end.value.code == 2
    assert told in capsys.readouterr().err


def test_some_parts_are_printed_and_the_page_is_left_alone(monkeypatch, capsys):
    monkeypatch.setattr(run, "PARTS", {"sums": rounds_of(0.1), "others": rounds_of(0.2)})
    monkeypatch.setattr(report, "save", None)
    monkeypatch.setattr(report, "write_page", None)
    run.main(["sums", "--rounds", "1"])
    assert "| a sum | 0.100 s | PyTorch |" in capsys.readouterr().out


def test_a_run_of_all_parts_writes_file_and_page(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- benchmarks: {name} -->\n<!-- end -->\n" for name in ("machine", "sums")))
    monkeypatch.setattr(run, "PARTS", {"sums": rounds_of(0.1, 0.3)})
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    run.main(["--rounds", "2", "--note", "Nothing else ran."])
    assert report.newest().name.endswith("-cores.json")
    assert "| a sum | 0.200 s (0.100 to 0.300) |" in page.read_text()
    assert report.blocks(page.read_text()) == report.tables(report.load(report.newest()))


# Growth


def test_a_power_law_gives_its_exponent():
    found = growth.fit([(size, 0.003 * size**1.7) for size in (10, 30, 100, 300)])
    assert (found.exponent, found.factor) == (pytest.approx(1.7), pytest.approx(0.003))
    assert found.error < 1e-9


def test_the_error_of_an_exponent_is_that_of_least_squares():
    # log-log points (0, 0), (1, 1.3), (2, 1.7) in e-folds: slope 0.85, residuals -0.15, 0.3, -0.15.
    points = [(2.718281828459045**x, 2.718281828459045**y) for x, y in ((0, 0), (1, 1.3), (2, 1.7))]
    found = growth.fit(points)
    assert found.exponent == pytest.approx(0.85)
    assert found.error == pytest.approx((0.135 / 1 / 2) ** 0.5)


def curve(exponent, what="`mean`", of="pictures"):
    return [
        {"what": what, "unit": "s", "ours": [0.9 * taken, taken, 1.5 * taken], "size": size, "of": of}
        for size, taken in ((size, 0.01 * size**exponent) for size in (10, 100, 1000))
    ]


def test_a_curve_is_a_line_with_the_exponent_of_its_medians():
    assert [growth.amount(*each) for each in ((1, "clients"), (4.2e6, "bytes"))] == ["1 client", "4 MB"]
    assert growth.table(curve(1.0))[2:] == [
        "| `mean` | 10 pictures: 0.10 s | 1,000 pictures: 10 s | 1.00 ± 0.00 | 1.00 |"
    ]


def test_the_figure_has_a_panel_for_each_thing_counted():
    rows = [*curve(1.0), *curve(0.9, "`label`"), *curve(0.5, "`serve`", "clients")]
    panels = growth.figure_of(rows).axes
    assert [panel.get_xlabel() for panel in panels] == ["pictures", "clients"]
    told = [[text.get_text() for text in panel.get_legend().get_texts()] for panel in panels]
    assert told == [["mean: 1.00", "label: 0.90"], ["serve: 0.50"]]


def test_the_figure_is_a_small_file(tmp_path):
    growth.draw(curve(1.0), tmp_path / "docs" / "growth.png")
    assert 5_000 < (tmp_path / "docs" / "growth.png").stat().st_size <= 300_000


def test_more_pictures_than_the_list_has_are_told_in_words(tmp_path):
    (tmp_path / "pictures.txt").write_text("a.jpg 0\nb.jpg 1\n")
    with pytest.raises(SystemExit, match=r"pictures\.txt lists 2 pictures; 3 are wanted"):
        growth.pictures_of(str(tmp_path), 2, place=1)


@pytest.mark.parametrize(("there", "wanted"), [(2048, [125, 250, 500, 1000, 2000]), (300, [125, 250]), (60, [30, 60])])
def test_a_curve_ends_where_the_pictures_do(tmp_path, there, wanted):
    setting = Setting(tmp_path, photos=[tmp_path / f"{number}.jpg" for number in range(there)])
    assert growth.sizes_of(growth.CURVES["mean"], setting) == wanted


def test_scores_of_captions_are_a_curve():
    points = growth.evaluate("", 5, 10)
    assert [size for size, _ in points] == [5, 10]
    assert all(taken > 0 for _, taken in points)


def test_nets_for_the_curve_of_convert_are_files_of_caffe(tmp_path):
    growth.write_nets(tmp_path, [8])
    ((size, taken),) = growth.convert(str(tmp_path), 8)
    assert size == (tmp_path / "units_8.caffemodel").stat().st_size
    assert taken > 0


def test_random_weights_are_drawn_from_the_seed_without_biases():
    blobs = peers.random_blobs("squeezenet-v1.1", classes=7)
    assert blobs["conv10"][0].shape == (7, 512, 1, 1)
    assert {float(abs(bias).max()) for _, bias in blobs.values()} == {0.0}
    again, other = (peers.random_blobs("squeezenet-v1.1", classes=7, seed=seed) for seed in (0, 1))
    assert all((kernel == again[name][0]).all() for name, (kernel, _) in blobs.items())
    assert not any((kernel == other[name][0]).any() for name, (kernel, _) in blobs.items())


# All of it, as it is run


@pytest.mark.slow
@pytest.mark.parametrize("part", [name for name, part in PARTS.items() if not set(part.peers) - {"OpenCV"}])
def test_a_part_that_needs_no_peer_works(part, tmp_path):
    out = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", part, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=report.ROOT)
    assert done.returncode == 0, done.stderr
    facts = report.load(out).parts[part]
    assert facts["rows"]
    assert not [note for note in facts["notes"] if note.startswith("failed")]
