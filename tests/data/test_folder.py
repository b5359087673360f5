"""A directory of pictures as a data set: layouts, splits, preparation, cache, and what is wrong."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from mnistctl.data import folder, preparing
from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset, preparation
from mnistctl.errors import DataError, UsageError
from mnistctl.events import Reporter
from mnistctl.imaging.files import read_image
from mnistctl.imaging.prepare import prepare


class Listener(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.done: list[int] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def advance(self, done: int) -> None:
        self.done.append(done)


def draw(path: Path, number: int, size: tuple[int, int] = (28, 28)) -> None:
    """A picture like no other: a line on paper, its place by `number`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", size, 255 - number % 50)
    middle = size[0] / 2 + number % 5
    ImageDraw.Draw(image).line((middle, 4, size[0] / 2, size[1] - 4), fill=number // 50, width=3)
    image.save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of forty pictures each, without a test set of their own."""
    root = tmp_path / "pictures"
    for number in range(120):
        draw(root / "abc"[number % 3] / f"{number:03}.png", number)
    return root


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    """Two classes, with test pictures."""
    root = tmp_path / "parted"
    for number in range(24):
        split = "test" if number < 8 else "train"
        draw(root / split / ("no" if number % 2 else "yes") / f"{number:03}.png", number)
    return root


def load(
    root: Path, split: str, options: str = "#resize", listener: Listener | None = None
) -> LabelledImages:
    data_dir = root.parent / "data"
    return get_dataset(f"{root}{options}").load(split, data_dir, listener or Listener())


def by_content(folder: Path) -> list[Path]:
    """Its files in the order of their SHA-256."""
    return sorted(folder.iterdir(), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())


# What is found


def test_content_decides_which_are_test_images(pictures: Path) -> None:
    files = sorted(pictures.rglob("*.png"))
    chosen = [p for p in files if int(hashlib.sha256(p.read_bytes()).hexdigest(), 16) % 5 == 0]
    row = get_dataset(str(pictures))
    assert row.classes == ("a", "b", "c")
    assert row.sizes == {"train": 120 - len(chosen), "test": len(chosen)}
    assert 10 < len(chosen) < 40
    before = load(pictures, "test")
    assert before.labels.tolist() == ["abc".index(path.parent.name) for path in chosen]
    draw(pictures / "a" / "new.png", 500)
    (pictures / "b" / "001.png").rename(pictures / "b" / "renamed.png")
    after = load(pictures, "test")
    kept = {image.numpy().tobytes() for image in before.images}
    assert kept <= {image.numpy().tobytes() for image in after.images}
    assert len(after.images) <= len(before.images) + 1


def test_a_test_set_of_its_own(parted: Path) -> None:
    row = get_dataset(str(parted))
    assert (row.classes, row.sizes) == (("no", "yes"), {"train": 16, "test": 8})
    assert row.name == str(parted)
    assert load(parted, "test").labels.tolist() == [0] * 4 + [1] * 4
    train = load(parted, "train")
    assert (train.images.dtype, train.images.shape) == (torch.uint8, (16, 28, 28))
    assert train.labels.dtype == torch.int64
    seen = {image.numpy().tobytes() for image in train.images[train.labels == 0]}
    files = (parted / "train" / "no").iterdir()
    assert seen == {np.asarray(Image.open(path)).tobytes() for path in files}


def test_what_is_no_picture_is_left_alone(parted: Path) -> None:
    fingerprint = get_dataset(str(parted)).fingerprint()
    for place in ("", "train/no"):
        (parted / place / "notes.txt").write_text("nothing to see")
        (parted / place / ".DS_Store").write_bytes(b"\0")
        (parted / place / ".hidden.png").write_bytes(b"\0")
    (parted / "train" / ".git").mkdir()
    assert get_dataset(str(parted)).fingerprint() == fingerprint


def test_the_fingerprint_is_that_of_contents(parted: Path) -> None:
    first, images = get_dataset(str(parted)).fingerprint(), load(parted, "train").images
    path = parted / "train" / "no" / "009.png"
    path.rename(path.with_name("zzz.png"))
    assert get_dataset(str(parted)).fingerprint() == first
    assert torch.equal(load(parted, "train").images, images)
    assert get_dataset(f"{parted}#resize").fingerprint() != first
    draw(path.with_name("zzz.png"), 700)
    assert get_dataset(str(parted)).fingerprint() != first


def test_a_name_with_options_is_found_again(parted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(parted.parent)
    row = get_dataset("parted#skip-unreadable,resize")
    assert row.name == f"{parted}#resize,skip-unreadable"
    assert get_dataset(row.name).name == row.name
    assert row.prepare == preparation(row.name) == "resize"
    assert preparation("/gone#resize") == preparation("fashion") == "resize"
    assert preparation("/gone") == preparation("mnist") == preparation(None) == "ink"
    (parted.parent / "a#b").mkdir()
    with pytest.raises(DataError, match="a#b has 0 classes"):
        get_dataset("a#b")


# Preparation


def test_ink_is_prepared_as_predict_does(parted: Path) -> None:
    draw(parted / "test" / "no" / "photo.png", 3, (200, 300))
    found = load(parted, "test", options="")
    expected = [
        prepare(read_image(path)).pixels.tolist()
        for name in ("no", "yes")
        for path in by_content(parted / "test" / name)
    ]
    assert found.images.tolist() == expected


def test_resizing_is_torchvisions(parted: Path) -> None:
    from torchvision.transforms.v2.functional import resize

    colours = np.random.default_rng(0).integers(0, 256, (90, 60, 3), np.uint8)
    Image.fromarray(colours).save(parted / "test" / "no" / "0.png")
    grey = torch.from_numpy(np.asarray(Image.fromarray(colours).convert("L")).copy())
    expected = resize(grey[None], [28, 28], antialias=True)[0]
    place = by_content(parted / "test" / "no").index(parted / "test" / "no" / "0.png")
    assert torch.equal(load(parted, "test").images[place], expected)


def test_pictures_prepared_in_one_way_are_not_taken_for_the_other(parted: Path) -> None:
    whole, ink = load(parted, "train", "#resize"), load(parted, "train", "")
    assert not torch.equal(whole.images, ink.images)
    assert torch.equal(load(parted, "train", "#resize").images, whole.images)
    for cache in (parted.parent / "data" / "prepared").iterdir():
        cache.unlink()
    assert torch.equal(load(parted, "train", "").images, ink.images)


def test_only_what_is_new_is_prepared(parted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = preparing.prepare_all

    def counting(
        paths: list[str], how: folder.Preparation, reporter: Listener
    ) -> list[preparing.Answer]:
        asked.append(len(paths))
        return real(paths, how, reporter)

    monkeypatch.setattr(preparing, "prepare_all", counting)
    first = load(parted, "train")
    assert torch.equal(load(parted, "train").images, first.images)
    assert asked == [16]
    draw(parted / "train" / "no" / "zzz.png", 800)
    more = load(parted, "train")
    assert asked == [16, 1]
    (cache,) = (parted.parent / "data" / "prepared").iterdir()
    content = cache.read_bytes()
    cache.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    assert torch.equal(load(parted, "train").images, more.images)
    assert asked == [16, 1, 17]
    assert cache.read_bytes() == content


def test_a_data_dir_that_takes_nothing(parted: Path) -> None:
    (parted.parent / "data").write_text("a file")
    listener = Listener()
    assert len(load(parted, "train", listener=listener).images) == 16
    assert "can't keep the prepared pictures" in listener.warnings[0]


# What is wrong


def test_unreadable_pictures_are_named_or_skipped(parted: Path) -> None:
    for number in range(12):
        (parted / "train" / "no" / f"bad-{number:02}.png").write_bytes(b"no picture %d" % number)
    os.mkfifo(parted / "train" / "yes" / "pipe.png")
    with pytest.raises(DataError) as caught:
        load(parted, "train")
    assert caught.value.message.startswith("13 of the pictures can't be used: ")
    assert "pipe.png: it is a pipe, not a file" in caught.value.message
    assert (
        "bad-08.png as an image: its image format is not known and 3 more" in caught.value.message
    )
    left_out = f"{parted}#resize,skip-unreadable"
    assert caught.value.hint == f"remove them, or leave them out with --dataset '{left_out}'"
    listener = Listener()
    found = load(parted, "train", "#resize,skip-unreadable", listener)
    assert found.labels.tolist() == [0] * 8 + [1] * 8
    assert listener.warnings[0].startswith("13 pictures skipped: ")


def test_a_class_of_which_nothing_can_be_read(parted: Path) -> None:
    for path in (parted / "train" / "no").iterdir():
        path.write_bytes(b"no picture")
    problem = "none of its train images of no can be read"
    with pytest.raises(DataError, match=problem):
        load(parted, "train", "#resize,skip-unreadable")


def test_a_blank_picture_shows_no_ink(parted: Path) -> None:
    Image.new("L", (60, 60), 250).save(parted / "train" / "no" / "blank.png")
    problem = "1 of the pictures can't be used: .*blank.png: no ink"
    with pytest.raises(DataError, match=problem) as caught:
        load(parted, "train", options="")
    assert caught.value.hint.endswith(f"; if they show no handwriting: --dataset '{parted}#resize'")
    assert len(load(parted, "train").images) == 17


def test_the_same_picture_twice(parted: Path) -> None:
    source = (parted / "train" / "no" / "009.png").read_bytes()
    (parted / "test" / "no" / "copy.png").write_bytes(source)
    (parted / "train" / "yes" / "copy.png").write_bytes(source)
    listener = Listener()
    load(parted, "test", listener=listener)
    assert listener.warnings == [
        "the same picture in train and test, or in two classes:"
        " train/no/009.png = train/yes/copy.png, train/no/009.png = test/no/copy.png"
    ]


def test_a_class_without_test_pictures_is_named(parted: Path) -> None:
    for path in (parted / "test" / "yes").iterdir():
        path.unlink()
    (parted / "test" / "yes").rmdir()
    listener = Listener()
    assert load(parted, "test", listener=listener).labels.tolist() == [0] * 4
    assert listener.warnings == ["there are no test images of yes"]


def make(root: Path, *places: str) -> Path:
    for number, place in enumerate(places):
        draw(root / place / "1.png", number)
    return root


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ((), "has 0 classes, not 2 to 1,000"),
        (("a",), "has 1 classes, not 2 to 1,000"),
        (tuple(f"{k:05}" for k in range(1001)), "has 1,001 classes"),
        (("a", "b\n"), r"'b\\n' can't name a class"),
        (("a", "b\x1b[31m"), r"'b\\x1b\[31m' can't name a class"),
        (("a", "b" * 101), "can't name a class"),
        (("train/a", "train/b"), "has train, but not the other split"),
        (("train/a", "train/b", "test/a", "test/c"), "classes in test that train does not have: c"),
        (("train/a", "test/a"), "has 1 classes"),
    ],
)
def test_no_classes_to_train_on(tmp_path: Path, places: tuple[str, ...], reason: str) -> None:
    root = make(tmp_path / "root", *places)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=reason) as caught:
        get_dataset(str(root))
    assert "\n" not in caught.value.message + caught.value.hint


def test_an_empty_class(parted: Path) -> None:
    (parted / "train" / "maybe").mkdir()
    with pytest.raises(DataError, match="train/maybe: a class without pictures"):
        get_dataset(str(parted))
    (parted / "train" / "maybe" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match="train/maybe: a class without pictures"):
        get_dataset(str(parted))


def test_nothing_to_test_with(tmp_path: Path) -> None:
    root, number = tmp_path / "root", 0
    while len(list(root.glob("*/*"))) < 4:
        path = root / "ab"[number % 2] / f"{number}.png"
        draw(path, number)
        if int(hashlib.sha256(path.read_bytes()).hexdigest(), 16) % 5 == 0:
            path.unlink()
        number += 1
    with pytest.raises(DataError, match="has no test images"):
        get_dataset(str(root))


def test_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in (str(tmp_path / "file"), str(tmp_path / "nowhere")):
        with pytest.raises(UsageError, match="is not a directory") as caught:
            get_dataset(name)
        assert "mnist, fashion" in caught.value.hint
    with pytest.raises(UsageError, match="did you mean 'fashion'"):
        get_dataset("fashon")


def test_options_are_for_directories(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    assert folder.with_options("mnist", None, False) == "mnist"
    assert folder.with_options("d", "ink", False) == "d"
    assert folder.with_options("d", "resize", True) == "d#resize,skip-unreadable"
    assert folder.with_options("d#resize", None, True) == "d#resize,skip-unreadable"
    assert folder.with_options("d#resize", "ink", False) == "d"
    for name in ("mnist", None):
        with pytest.raises(UsageError, match="--prepare and --skip-unreadable are for"):
            folder.with_options(name, "resize", False)
    with pytest.raises(UsageError, match="did you mean 'resize'"):
        folder.with_options("d", "resiz", False)
