import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.data import site as web
from tests.data.site import picture, site


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """A site with three pictures, a list of four addresses, and the folder to be in."""
    monkeypatch.delenv("IMGNN_OFFLINE")
    monkeypatch.chdir(tmp_path)
    with site() as running:
        running.answers = {f"/{n}.jpg": web.sends(picture(n)) for n in range(3)}
        (tmp_path / "cats.txt").write_text("".join(f"{running.url}/{n}.jpg\n" for n in range(4)))
        running.folder = tmp_path
        yield running


def test_a_list_becomes_a_folder_and_a_table(cli, pets):
    result = cli("fetch", "cats.txt", "-o", "pets", "--allow-private")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "pets"
    assert "ok" in result.stdout and "gone" in result.stdout and "75.0 %" in result.stdout
    assert len(list((pets.folder / "pets/cats").iterdir())) == 3


def test_the_summary_can_be_read_by_a_program(cli, pets):
    found = json.loads(cli("fetch", "cats.txt", "-o", "pets", "--allow-private", "--json").stdout)
    assert found["counts"] == found["run"] == {"ok": 3, "gone": 1}
    assert (found["success"], found["stopped"], found["classes"]) == (0.75, None, {"cats": {"gone": 1, "ok": 3}})
    assert json.loads(cli("fetch", "-o", "pets", "--status", "--json").stdout)["counts"] == {"ok": 3, "gone": 1}


def test_addresses_are_read_from_standard_input(cli, pets):
    result = cli("fetch", "-", "-o", "pets", "--label", "cat", "--allow-private", input=f"{pets.url}/1.jpg\n")
    assert result.exit_code == 0, result.stderr
    assert [path.parent.name for path in (pets.folder / "pets").rglob("*.jpg")] == ["cat"]


def test_a_list_or_a_picture_may_be_on_the_web(cli, pets):
    pets.answers["/list.txt"] = web.sends((pets.folder / "cats.txt").read_bytes())
    assert cli("fetch", f"{pets.url}/list.txt", "-o", "a", "--allow-private").exit_code == 0
    assert [path.name for path in (pets.folder / "a").iterdir() if path.is_dir()] == ["list"]
    assert len(list((pets.folder / "a/list").iterdir())) == 3
    assert cli("fetch", f"{pets.url}/2.jpg", "-o", "b", "--allow-private").exit_code == 0
    assert [path.parent.name for path in (pets.folder / "b").rglob("*.jpg")] == ["b"]


def test_pages_of_boke_become_pictures_and_lines(cli, pets):
    page = (
        '<html><body><div class="boke-entry"><div class="photo"><img src="/1.jpg"></div><p class="boke_read">ha</p>'
        '<input class="boke-id" value="77"><span class="accordion-header"><em>1,324</em></span></div></body></html>'
    )
    pets.answers["/boke/hot"] = web.sends(page.encode(), Content_Type="text/html")
    result = cli("fetch", f"{pets.url}/boke/hot", "-o", "boke", "--allow-private")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "boke/boke.jsonl"
    (line,) = map(json.loads, (pets.folder / "boke/boke.jsonl").read_text().splitlines())
    assert (line["boke"], line["star"], line["number"], line["image_url"]) == ("ha", 1324, "77", f"{pets.url}/1.jpg")
    assert (pets.folder / "boke" / line["images"][0]["path"]).read_bytes() == picture(1)


def test_a_can_of_boke_needs_no_network(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "can/images").mkdir(parents=True)
    (tmp_path / "can/images/1.jpg").write_bytes(picture(1))
    (tmp_path / "can/boke.csv").write_text(
        "id,odai_photo_url,text,rate_sum\n5,/images/1.jpg,ha,12\n6,/images/1.jpg,ho,3\n"
    )
    result = cli("fetch", "can", "-o", "boke")  # IMGNN_OFFLINE is set
    assert result.exit_code == 0, result.stderr
    found = [json.loads(line) for line in (tmp_path / "boke/boke.jsonl").read_text().splitlines()]
    assert [(line["boke"], line["star"]) for line in found] == [("ha", 12), ("ho", 3)]
    assert (tmp_path / "boke" / found[0]["images"][0]["path"]).read_bytes() == picture(1)


def test_too_few_pictures_are_a_failure(cli, pets):
    result = cli("fetch", "cats.txt", "-o", "pets", "--allow-private", "--min-success", "80%")
    assert result.exit_code == 1
    assert "Error: 75.0 % are pictures, less than 80.0 %" in result.stderr
    assert cli("fetch", "-o", "pets", "--min-success", "0.7").exit_code == 0


def test_not_one_picture_is_a_failure(cli, pets):
    (pets.folder / "none.txt").write_text(f"{pets.url}/9.jpg\n")
    result = cli("fetch", "none.txt", "-o", "none", "--allow-private")
    assert (result.exit_code, "not one picture of 1 addresses" in result.stderr) == (1, True)


def test_why_tells_of_an_address_and_of_a_file(cli, pets):
    cli("fetch", "cats.txt", "-o", "pets", "--allow-private")
    told = cli("fetch", "-o", "pets", "--why", f"{pets.url}/3.jpg").stdout
    assert "gone: the server knows no such page" in told and "cats.txt, line 4" in told
    file = next((pets.folder / "pets/cats").glob("1-*"))
    told = cli("fetch", "--why", file).stdout  # its folder's journal is found from the file
    assert told.startswith(f"{pets.url}/1.jpg\n") and "24 x 32 JPEG" in told
    result = cli("fetch", "-o", "pets", "--why", "http://nobody/")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "knows neither an address nor a file http://nobody/" in result.stderr


def test_the_journal_is_exported(cli, pets):
    cli("fetch", "cats.txt", "-o", "pets", "--allow-private")
    assert cli("fetch", "-o", "pets", "--export", "pets.csv").stdout == "pets.csv\n"
    assert len((pets.folder / "pets.csv").read_text().splitlines()) == 5


def test_parts_are_merged(cli, pets):
    for part in (1, 2):
        cli("fetch", "cats.txt", "-o", f"part{part}", "--allow-private", "--shard", f"{part}/2")
    result = cli("fetch", "--merge", "part1", "part2", "-o", "pets", "--json")
    assert json.loads(result.stdout)["counts"] == {"ok": 3, "gone": 1}
    assert len(list((pets.folder / "pets/cats").iterdir())) == 3


def test_parts_in_one_folder_are_merged_there(cli, pets):
    for part in (1, 2):
        cli("fetch", "cats.txt", "-o", "pets", "--allow-private", "--shard", f"{part}/2")
    result = cli("fetch", "--merge", "pets", "-o", "pets", "--json")
    assert json.loads(result.stdout)["counts"] == {"ok": 3, "gone": 1}
    assert len(list((pets.folder / "pets/cats").iterdir())) == 3


def test_a_proxy_of_the_environment_is_asked(cli, pets, monkeypatch):
    monkeypatch.setenv("http_proxy", pets.url)
    pets.answers["http://far.example/1.jpg"] = web.sends(picture(8))  # a proxy is asked for the whole address
    (pets.folder / "far.txt").write_text("http://far.example/1.jpg\n")
    result = cli("fetch", "far.txt", "-o", "far")
    assert result.exit_code == 0, result.stderr
    assert pets.asked["http://far.example/robots.txt"] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cats.txt", "--status"], "--status does not go with LIST"),
        (["--only", "timeout"], "--only goes with --retry-failed"),
        (["--only", "timout"], "did you mean 'timeout'?"),
        (["cats.txt", "--retry-failed", "--only", "ok"], "'ok' is none of gone"),
        (["cats.txt", "--min-success", "1.5"], "a share from 0 to 1"),
        (["cats.txt", "--shard", "4/3"], "a part is written"),
        (["cats.txt", "--max-bytes", "many"], "a number above 0"),
        (["--merge", "a", "--limit", "3"], "--merge does not go with --limit"),
        (["cats.txt", "--is-a", "is_a.txt"], "--is-a tells what is a kind of --wnid"),
        (["cats.txt", "--resize-mode", "border"], "--resize-mode goes with --resize"),
        (["cats.txt", "--quality", "50"], "--quality goes with --resize or --format"),
    ],
)
def test_words_that_do_not_fit_are_a_usage_error(cli, pets, words, told):
    result = cli("fetch", *words, env={"COLUMNS": "200"})
    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no list was named, and images holds no journal"),
        (["nothing.txt"], "no such file: nothing.txt"),
        (["--status"], "images holds no fetch.sqlite"),
        (["cats.txt", "--words", "no-words.txt"], "no such file: no-words.txt"),
        (["cats.txt", "-o", "cats.txt/x"], "cannot make the folder cats.txt/x"),
        (["."], ". is a folder; a list of addresses is expected"),
    ],
)
def test_bad_input_is_one_line(cli, pets, words, told):
    result = cli("fetch", *words)
    assert (result.exit_code, result.stdout) == (1, "")
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and told in errors[0]


def test_offline_the_lists_are_read_and_wait(cli, pets, monkeypatch):
    monkeypatch.setenv("IMGNN_OFFLINE", "1")
    result = cli("fetch", "cats.txt", "-o", "pets", "--allow-private")
    assert result.exit_code == 1
    assert "IMGNN_OFFLINE forbids the network: 4 addresses wait in pets/fetch.sqlite" in result.stderr
    assert "waiting" in result.stdout


def test_ctrl_c_keeps_what_there_is(pets):
    large = [picture(n, (700, 900)) for n in range(10)]  # so that some wait for a decoder
    # The second half takes its time, however late the signal comes on a busy machine.
    pets.answers = {
        f"/{n}.jpg": web.slow(0.05 if n < 100 else 60, web.sends(large[n % 10] + bytes([n]))) for n in range(200)
    }
    (pets.folder / "many.txt").write_text("".join(f"{pets.url}/{n}.jpg\n" for n in range(200)))
    process = subprocess.Popen(
        [sys.executable, "-m", "imgnn", "fetch", "many.txt", "-o", "many", "--allow-private"],
        env={**os.environ, "IMGNN_OFFLINE": ""}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(pets.folder.glob("many/many/*")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Interrupted: what was fetched is in many" in err and "Traceback" not in err
    assert "waiting" in out
    assert not (pets.folder / "many/.fetch-parts").exists()


def test_pictures_that_were_removed_can_be_fetched_again(cli, pets):
    cli("fetch", "cats.txt", "-o", "pets", "--allow-private")
    file = next((pets.folder / "pets/cats").glob("1-*"))
    file.unlink()
    assert "not there any more: 1" in cli("fetch", "-o", "pets", "--status").stderr
    result = cli("fetch", "-o", "pets", "--retry-failed", "--only", "lost", "--allow-private")
    assert result.exit_code == 0, result.stderr
    assert file.read_bytes() == picture(1)


def test_addresses_that_were_blocked_are_asked_again_when_they_are_allowed(cli, pets):
    result = cli("fetch", "cats.txt", "-o", "pets")
    assert "--retry-failed --allow-private" in result.stderr
    again = cli("fetch", "-o", "pets", "--retry-failed", "--allow-private", "--json")
    assert json.loads(again.stdout)["counts"] == {"ok": 3, "gone": 1}


def test_a_missing_part_is_told_when_parts_are_merged(cli, pets):
    cli("fetch", "cats.txt", "-o", "part1", "--allow-private", "--shard", "1/3")
    result = cli("fetch", "--merge", "part1", "-o", "pets")
    assert "missing is part 2/3 of cats.txt" in result.stderr
    assert cli("fetch", "--merge", "part1", "nowhere", "-o", "other").exit_code == 1
    assert not (pets.folder / "other").exists()


def test_a_folder_that_holds_a_part_says_which(cli, pets):
    cli("fetch", "cats.txt", "-o", "part", "--allow-private", "--shard", "2/3")
    assert "Try: imgnn fetch -o part --shard 2/3" in cli("fetch", "-o", "part").stderr


def test_words_that_name_nothing_are_told(cli, pets):
    (pets.folder / "words.txt").write_text("0 Detailed\n")
    result = cli("fetch", "cats.txt", "-o", "pets", "--allow-private", "--words", "words.txt")
    assert "--words has no name for 1 classes, the first is cats" in result.stderr


def test_a_list_that_cannot_be_read_leaves_nothing_behind(cli, pets):
    (pets.folder / "table.csv").write_text("a,b\n1,2\n")
    assert cli("fetch", "table.csv", "-o", "new").exit_code == 1
    assert not (pets.folder / "new/fetch.sqlite").exists()
    assert cli("fetch", "nothing.txt", "-o", "newer").exit_code == 1
    assert not (pets.folder / "newer").exists()


def test_a_synset_that_a_list_does_not_have_is_told(cli, pets):
    (pets.folder / "all.txt").write_text("n02121808_1\thttp://h.example/1.jpg\n")
    for _ in range(2):  # and is not taken for a list that was read
        result = cli("fetch", "all.txt", "-o", "pets", "--wnid", "n99999999")
        assert (result.exit_code, "all.txt names no address of n99999999" in result.stderr) == (1, True)


def test_an_address_is_found_as_the_list_has_it(cli, pets):
    (pets.folder / "odd.txt").write_text(f"{pets.url}/my flower.jpg\n")
    cli("fetch", "odd.txt", "-o", "pets", "--allow-private")
    assert "gone" in cli("fetch", "-o", "pets", "--why", f"{pets.url}/my flower.jpg").stdout
