import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from imgnn.caffe.wire import read_binaryproto
from imgnn.data.lists import Watched, file_digest, read_list, write_record
from imgnn.data.mean_record import check_mean
from imgnn.data.moments import View
from imgnn.errors import InputError, InterruptedRun
from imgnn.images.files import load_image, read_settings
from imgnn.images.mean import load_mean
from imgnn.images.preprocess import fit
from imgnn.jobs import mean as job
from imgnn.jobs.mean import compute_mean, merge_means
from imgnn.options import MeanOptions
from imgnn.runs import Silent

SMALL = MeanOptions(size=(16, 24), workers=1)
CLASSES = ("cats", "dogs", "owls")


@pytest.fixture
def listed(tmp_path, random, monkeypatch):
    """A list of 40 pictures of three classes, in no order, with the class words beside it; chunks of 4."""
    monkeypatch.setattr(job, "CHUNK", 4)
    lines = []
    for number in range(40):
        name = f"{CLASSES[number % 3]}/{number} of 40.png"
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (20 + number, 30, 3)
        Image.fromarray(random.integers(0, 256, size, dtype="uint8")).save(path)
        lines.append(f"photos/{name} {number % 3}\n")
    random.shuffle(lines)
    (tmp_path / "pets.txt").write_text("".join(lines))
    (tmp_path / "pets_class_def.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(CLASSES)))
    return tmp_path / "pets.txt"


def names_of(folder, prefix="pets_"):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(prefix))


def contents(folder, prefix="pets_"):
    """Every file that a mean wrote, byte for byte."""
    return {name: (folder / name).read_bytes() for name in names_of(folder, prefix)}


def by_numpy(listed, options=SMALL):
    found = read_list(listed)
    pictures = [fit(load_image(found.file(entry)), options.size, options.crop) for entry in found.entries]
    return np.stack(pictures).astype("float64"), np.array([entry.label for entry in found.entries])


class Listener(Silent):
    def __init__(self, at=None, then=None):
        self.notes, self.done, self.at, self.then = [], [], at, then

    def note(self, message):
        self.notes.append(message)

    def advance(self, done, **facts):
        self.done.append(done)
        if self.at is not None and done >= self.at:
            self.at = None
            self.then()


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_the_mean_is_numpy_s_to_the_last_bit(listed):
    record = compute_mean(listed, options=SMALL).record
    pictures, labels = by_numpy(listed)
    mean = pictures.mean(axis=0)
    folder = listed.parent
    bgr = mean[..., ::-1].transpose(2, 0, 1)
    np.testing.assert_array_equal(np.load(folder / "pets_mean.npy"), bgr)
    np.testing.assert_array_equal(read_binaryproto(folder / "pets_mean.binaryproto"), bgr.astype("float32"))
    np.testing.assert_array_equal(load_image(folder / "pets_mean.png"), np.rint(mean))
    np.testing.assert_allclose(record["rgb"]["mean"], pictures.mean(axis=(0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(record["rgb"]["deviation"], pictures.std(axis=(0, 1, 2)), rtol=1e-12)
    assert record["bgr"]["mean"] == record["rgb"]["mean"][::-1]
    for each in record["classes"]:
        assert each["name"] == CLASSES[each["label"]]
        of_class = pictures[labels == each["label"]]
        assert each["pictures"] == len(of_class)
        np.testing.assert_allclose(each["rgb"], of_class.mean(axis=(0, 1, 2)), rtol=1e-14)


def test_the_array_is_one_that_load_mean_reads(listed):
    compute_mean(listed, options=SMALL)
    mean = load_mean(listed.parent / "pets_mean.npy")
    assert (mean.shape, mean.dtype) == ((16, 24, 3), np.float32)


def test_the_files_are_those_that_are_told(listed):
    result = compute_mean(listed, options=SMALL)
    assert sorted(path.name for path in result.files) == [name for name in names_of(listed.parent) if "def" not in name]
    assert names_of(listed.parent) == [
        "pets_class_def.txt",
        "pets_mean.binaryproto",
        "pets_mean.json",
        "pets_mean.npy",
        "pets_mean.png",
        "pets_mean_classes.png",
        "pets_mean_furthest.png",
        "pets_used_in_mean.json",
        "pets_used_in_mean.txt",
    ]
    assert json.loads((listed.parent / "pets_mean.json").read_text()) == json.loads(json.dumps(result.record))


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bytes(listed, workers):
    compute_mean(listed, options=SMALL)
    wanted = contents(listed.parent)
    compute_mean(listed, options=MeanOptions(size=SMALL.size, workers=workers))
    assert contents(listed.parent) == wanted


def test_processes_give_the_same_bytes(listed, monkeypatch):
    compute_mean(listed, options=SMALL)
    wanted = contents(listed.parent)
    monkeypatch.setattr(job, "PROCESSES_FROM", 1)
    compute_mean(listed, options=MeanOptions(size=SMALL.size, workers=2))
    assert contents(listed.parent) == wanted


def test_merged_parts_give_the_same_bytes(listed):
    bad = listed.parent / "photos" / "dogs" / "1 of 40.png"
    bad.write_text("<html>gone</html>")
    compute_mean(listed, options=SMALL)
    wanted = contents(listed.parent)
    parts = [listed.parent / f"part{number}.npz" for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        compute_mean(listed, part, MeanOptions(size=SMALL.size, shard=(number, 3)))
    for path in listed.parent.glob("pets_*mean*"):
        path.unlink()
    merge_means([parts[1], parts[2], parts[0]], listed.parent / "pets_mean")
    assert contents(listed.parent) == wanted


def test_a_picture_in_another_size_is_scaled_as_training_does(listed):
    options = MeanOptions(size=(12, 12), crop="square", workers=1)
    compute_mean(listed, options=options)
    pictures, _ = by_numpy(listed, options)
    np.testing.assert_array_equal(
        load_mean(listed.parent / "pets_mean.npy"), pictures.mean(axis=0)[..., ::-1].astype("f4")
    )


def test_bad_pictures_are_dropped_with_their_reason(listed):
    folder = listed.parent
    (folder / "photos/cats/0 of 40.png").write_text("<html>gone</html>")
    (folder / "photos/owls/2 of 40.png").unlink()
    listener = Listener()
    record = compute_mean(listed, options=SMALL, reporter=listener).record
    assert (record["used"]["pictures"], record["dropped"]["reasons"]) == (38, {"not_image": 1, "missing": 1})
    dropped = [line.split("\t") for line in (folder / "pets_dropped_from_mean.txt").read_text().splitlines()]
    assert sorted(each[:2] for each in dropped) == [
        ["photos/cats/0 of 40.png", "not_image"],
        ["photos/owls/2 of 40.png", "missing"],
    ]
    gone = {each[0] for each in dropped}
    kept = [line for line in listed.read_text().splitlines() if line.rpartition(" ")[0] not in gone]
    assert (folder / "pets_used_in_mean.txt").read_text().splitlines() == kept
    assert listener.notes[0].startswith("dropped 1 ")


def test_a_list_of_nothing_that_can_be_read_is_one_error(listed):
    listed.write_text("a.jpg 0\nb.jpg 1\n")
    with pytest.raises(
        InputError, match=r"none of the 2 pictures of pets.txt could be read; the first: no such file: a"
    ):
        compute_mean(listed, options=SMALL)
    assert names_of(listed.parent) == ["pets_class_def.txt"]


def test_the_list_of_what_was_used_is_a_list_with_words_and_root(listed, tmp_path):
    away = tmp_path / "elsewhere"
    away.mkdir()
    compute_mean(listed, away / "pets_mean", SMALL)
    used = read_list(away / "pets_used_in_mean.txt")
    assert used.entries == read_list(listed).entries
    assert used.name(2) == "owls"
    assert used.file(used.entries[0]).is_file()


def test_every_picture_carries_what_it_was_made_of(listed):
    record = compute_mean(listed, options=SMALL).record
    for name in ("pets_mean.png", "pets_mean_classes.png", "pets_mean_furthest.png"):
        settings = read_settings(listed.parent / name)
        assert (settings["list"], settings["contents"]) == (record["list"]["sha256"], record["used"]["contents"])


def test_a_folder_is_a_list_whose_classes_are_its_folders(listed):
    photos = listed.parent / "photos"
    Image.new("RGB", (9, 9)).save(photos / "loose.png")
    record = compute_mean(photos, options=SMALL).record
    assert [(each["name"], each["pictures"]) for each in record["classes"]] == [
        ("cats", 14),
        ("dogs", 13),
        ("owls", 13),
        ("ROOT", 1),
    ]
    assert (listed.parent / "photos_mean.npy").is_file()
    assert read_list(listed.parent / "photos_used_in_mean.txt").name(3) == "ROOT"


def test_the_furthest_picture_is_the_one_unlike_the_others(listed):
    Image.new("RGB", (30, 30), (255, 0, 0)).save(listed.parent / "photos/dogs/4 of 40.png")
    record = compute_mean(listed, options=SMALL).record
    assert record["furthest"][0]["path"] == "photos/dogs/4 of 40.png"
    distances = [each["distance"] for each in record["furthest"]]
    assert distances == sorted(distances, reverse=True)
    assert len(distances) == 24


def test_a_common_mark_is_pointed_out_and_drawn_and_gone_with_the_next_mean(listed):
    wide = MeanOptions(size=(64, 64), workers=1)
    clean = Listener()
    compute_mean(listed, options=wide, reporter=clean)
    assert clean.notes == []
    before = {}
    for path in (listed.parent / "photos").rglob("*.png"):
        image = load_image(path)
        before[path] = image.copy()
        image[-8:, -8:] = 255
        Image.fromarray(image).save(path)
    marked = Listener()
    compute_mean(listed, options=wide, reporter=marked)
    [said] = marked.notes
    assert said.startswith("many pictures have something in common, bottom right")
    assert (listed.parent / "pets_mean_structure.png").is_file()
    for path, image in before.items():
        Image.fromarray(image).save(path)
    compute_mean(listed, options=wide)
    assert not (listed.parent / "pets_mean_structure.png").exists()


def test_a_mark_on_one_class_is_named(tmp_path, random):
    for number in range(75):
        image = random.integers(0, 256, (64, 64, 3), dtype="uint8")
        if number % 3 == 2:
            image[:9, :9] = (255, 255, 0)
        path = tmp_path / "photos" / CLASSES[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    listener = Listener()
    compute_mean(tmp_path / "photos", options=MeanOptions(size=(64, 64), workers=1), reporter=listener)
    assert listener.notes[-1].startswith("the pictures of owls (top left) have something in common that the others")


def test_a_stale_list_is_said_and_recorded(listed, tmp_path):
    moved = tmp_path / "lists" / "pets.txt"
    moved.parent.mkdir()
    moved.write_text(listed.read_text().replace("photos/", ""))
    watched = Watched.now(tmp_path / "photos", None)
    write_record(tmp_path / "lists" / "pets.json", {moved.name: file_digest(moved)}, tmp_path / "photos", watched, {})
    assert compute_mean(moved, options=SMALL).record["list"]["stale"] is None
    Image.new("RGB", (9, 9)).save(tmp_path / "photos" / "new.png")
    listener = Listener()
    record = compute_mean(moved, options=SMALL, reporter=listener).record
    assert record["list"]["stale"].endswith("40 pictures then, 41 now")
    assert listener.notes == [f"{record['list']['stale']}; the mean is computed of what is there now"]


# Interrupted, and many machines


def test_a_pass_that_was_interrupted_goes_on_where_it_was(listed):
    compute_mean(listed, options=SMALL)
    wanted = contents(listed.parent)
    for name in names_of(listed.parent, "pets_mean"):
        (listed.parent / name).unlink()
    with pytest.raises(InterruptedRun, match=r"[0-9]+ of 40 pictures were read"):
        compute_mean(listed, options=SMALL, reporter=Listener(at=16, then=interrupt))
    assert names_of(listed.parent, "pets_mean") == ["pets_mean.partial.npz"]
    again = Listener()
    compute_mean(listed, options=SMALL, reporter=again)
    assert again.notes == [f"going on with the sums in {listed.parent / 'pets_mean.partial.npz'}"]
    assert again.done[0] >= 16
    assert contents(listed.parent) == wanted


@pytest.mark.parametrize("change", ["list", "size", "damage"])
def test_sums_of_another_pass_are_not_gone_on_with(listed, change):
    with pytest.raises(InterruptedRun):
        compute_mean(listed, options=SMALL, reporter=Listener(at=8, then=interrupt))
    if change == "list":
        listed.write_text(listed.read_text().replace(" 2\n", " 1\n"))
    if change == "damage":
        (listed.parent / "pets_mean.partial.npz").write_bytes(b"PK")
    options = MeanOptions(size=(10, 10), workers=1) if change == "size" else SMALL
    listener = Listener()
    compute_mean(listed, options=options, reporter=listener)
    assert listener.notes[0].endswith("is of another pass; begun anew")
    pictures, _ = by_numpy(listed, options)
    np.testing.assert_array_equal(load_mean(listed.parent / "pets_mean.npy"), pictures.mean(0)[..., ::-1].astype("f4"))


def test_a_part_that_does_not_belong_is_refused(listed):
    folder = listed.parent

    def part(name, shard, size=SMALL.size):
        compute_mean(listed, folder / name, MeanOptions(size=size, shard=shard))
        return folder / f"{name}.npz"

    first, second, third = (part(f"part{number}", (number, 3)) for number in (1, 2, 3))
    for parts, words in (
        ([first, third], "part 2 of 3 is missing"),
        ([first, second, second], f"{second} is part 2 of 3, and so is {second}"),
        ([first, part("half", (2, 2))], "half.npz does not belong to .*: it is part 2/2, not one of 3"),
        ([first, part("large", (2, 3), (20, 20))], "its pictures are 20 x 20, caffe, not 16 x 24, caffe"),
    ):
        with pytest.raises(InputError, match=words):
            merge_means(parts, folder / "pets_mean")
    listed.write_text(listed.read_text().replace(" 2\n", " 1\n"))
    with pytest.raises(InputError, match=r"pets.txt was changed in between"):
        merge_means([first, part("part2", (2, 3)), third], folder / "pets_mean")
    assert names_of(folder, "pets_mean") == []


def test_parts_are_merged_where_the_pictures_are_not(listed):
    compute_mean(listed, options=SMALL)
    wanted = (listed.parent / "pets_mean.npy").read_bytes()
    [part] = compute_mean(listed, listed.parent / "part", MeanOptions(size=SMALL.size, shard=(1, 1))).files
    (listed.parent / "photos").rename(listed.parent / "away")
    listener = Listener()
    merge_means([part], listed.parent / "pets_mean", reporter=listener)
    assert (listed.parent / "pets_mean.npy").read_bytes() == wanted
    assert listener.notes[0].startswith("no sheet of the furthest pictures: no such file")
    assert not (listed.parent / "pets_mean_furthest.png").exists()


@pytest.mark.filterwarnings("default")  # distributed's own
def test_a_dask_cluster_that_loses_a_worker_gives_the_same_bytes(listed, monkeypatch):
    distributed = pytest.importorskip("distributed")
    compute_mean(listed, options=SMALL)
    wanted = contents(listed.parent)
    monkeypatch.setattr(job, "CHUNK", 2)
    with (
        distributed.LocalCluster(
            processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        killed = Listener(at=4, then=lambda: os.kill(victim, signal.SIGKILL))
        compute_mean(listed, options=MeanOptions(size=SMALL.size, dask=cluster.scheduler_address), reporter=killed)
    assert killed.at is None
    assert contents(listed.parent) == wanted


# What would go wrong


def test_a_mean_takes_the_place_of_nothing_else(listed):
    of_lists = {
        "format": "imgnn list",
        "version": 1,
        "root": ".",
        "lists": {},
        "folders": None,
        "pictures": 0,
        "tree": "",
    }
    (listed.parent / "pets.json").write_text(json.dumps(of_lists))
    with pytest.raises(InputError, match=r"pets.json would be replaced, and is no record of a mean"):
        compute_mean(listed, listed.parent / "pets", SMALL)
    with pytest.raises(InputError, match="would lie among the pictures"):
        compute_mean(listed.parent / "photos", listed.parent / "photos" / "x_mean", SMALL)
    compute_mean(listed, options=SMALL)
    used = listed.parent / "pets_used_in_mean.txt"
    with pytest.raises(InputError, match="would be replaced by the list of what was used of it"):
        compute_mean(used, listed.parent / "pets_mean", SMALL)


def test_pictures_that_are_not_there_are_told_before_anything_is_read(listed):
    with pytest.raises(InputError, match=r"no such folder: "):
        compute_mean(listed, options=MeanOptions(root=listed.parent / "gone"))
    with pytest.raises(InputError, match="there is no folder"):
        compute_mean(listed, listed.parent / "gone" / "x", SMALL)
    with pytest.raises(InputError, match="a list of 40 pictures has no part 41 of 50"):
        compute_mean(listed, options=MeanOptions(shard=(41, 50)))


# Is this the mean of that list?


def test_a_mean_fits_its_list_and_the_list_of_what_was_used(listed):
    (listed.parent / "photos/cats/0 of 40.png").write_text("gone")
    record = compute_mean(listed, options=SMALL).record
    path = listed.parent / "pets_mean.json"
    for name in ("pets.txt", "pets_used_in_mean.txt"):
        assert check_mean(path, read_list(listed.parent / name), size=(16, 24), crop="caffe") == json.loads(
            json.dumps(record)
        )


@pytest.mark.parametrize(
    ("change", "words", "hint"),
    [
        ("other", r"pets_mean.json is the mean of another list, pets.txt, not of .*others.txt", "others.txt -o"),
        ("list", r"pets.txt was changed since the mean .* was computed of it", "imgnn mean"),
        ("picture", r"some pictures of .*pets.txt were changed, added or lost since the mean", "imgnn mean"),
        ("size", "is 16 x 24 pixels; 227 x 227 is wanted", "--size 227x227"),
        ("crop", "was computed with --crop caffe; square is wanted", "--crop square"),
        ("array", r"pets_mean.npy is not the mean that .*pets_mean.json tells of", "imgnn mean"),
        ("record", r"pets_mean.json is no record of a mean", "imgnn mean LIST"),
    ],
)
def test_a_mean_of_something_else_is_told(listed, change, words, hint):
    compute_mean(listed, options=SMALL)
    path = listed.parent / "pets_mean.json"
    found = read_list(listed)
    if change == "other":
        (listed.parent / "others.txt").write_text("photos/a.png 0\n")
        found = read_list(listed.parent / "others.txt")
    if change == "list":
        listed.write_text("photos/a.png 0\n")
        found = read_list(listed)
    if change == "picture":
        found.file(found.entries[7]).write_text("another")
    if change == "array":
        (listed.parent / "pets_mean.npy").write_text("another")
    if change == "record":
        path.write_text("[1]")
    wanted = {"size": {"size": (227, 227)}, "crop": {"crop": "square"}}.get(change, {})
    with pytest.raises(InputError, match=words) as caught:
        check_mean(path, found, **wanted)
    assert hint in caught.value.hint


# Caffe's own rule


def caffe_mean(paths):
    """convert_imageset --resize 256 and compute_image_mean: OpenCV's decoder and resize, sums in float32."""
    cv2 = pytest.importorskip("cv2")
    total = np.zeros((256, 256, 3), "float32")
    for path in paths:
        total += cv2.resize(cv2.imread(str(path)), (256, 256))
    return total / np.float32(len(paths))


def test_a_mean_is_that_of_caffe_s_tools(shared, tmp_path):
    folder = shared / "data" / "ucm_captions" / "images"
    paths = sorted(folder.iterdir())[:200]
    (tmp_path / "ucm.txt").write_text("".join(f"{path.name} 0\n" for path in paths))
    compute_mean(tmp_path / "ucm.txt", options=MeanOptions(root=folder))
    found = load_mean(tmp_path / "ucm_mean.npy")
    # Pixels are the same; float32 sums lose a little.
    np.testing.assert_allclose(found, caffe_mean(paths), atol=0.02)


@pytest.mark.slow
def test_two_thousand_pictures_in_every_way(shared, tmp_path):
    folder = shared / "data" / "ucm_captions" / "images"
    paths = sorted(folder.iterdir())
    (tmp_path / "ucm.txt").write_text("".join(f"{path.name} {index % 7}\n" for index, path in enumerate(paths)))
    ways = []
    for workers in (1, 2, 4):
        compute_mean(tmp_path / "ucm.txt", options=MeanOptions(root=folder, workers=workers))
        ways.append(contents(tmp_path, "ucm_"))
    parts = []
    for number in (1, 2, 3):
        parts += compute_mean(tmp_path / "ucm.txt", None, MeanOptions(root=folder, shard=(number, 3))).files
    for path in tmp_path.glob("ucm_*mean.*"):
        path.unlink()
    merge_means(parts, tmp_path / "ucm_mean")
    for part in parts:
        part.unlink()
    ways.append(contents(tmp_path, "ucm_"))
    assert ways[0] == ways[1] == ways[2] == ways[3]
    pictures = np.zeros((256, 256, 3))
    for path in paths:
        pictures += fit(load_image(path), (256, 256), "caffe")
    np.testing.assert_array_equal(np.load(tmp_path / "ucm_mean.npy"), (pictures / 2100)[..., ::-1].transpose(2, 0, 1))
    np.testing.assert_allclose(load_mean(tmp_path / "ucm_mean.npy"), caffe_mean(paths), atol=0.02)


def test_the_view_of_a_size_has_its_parts():
    view = View((256, 256), "caffe", 4)
    assert (view.class_size, view.block_size, view.thumb_size) == ((64, 64), (64, 64), (8, 8))
    assert (View((100, 227), "caffe", 2).class_size, View((100, 227), "caffe").block_size) == ((50, 114), (25, 57))
