"""Every data set of the IDX family, on made files: layout, orientation, labels, damage, zips."""

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from idx_made import (
    SIZES,
    all_files,
    compressed,
    idx_bytes,
    lay_out,
    made_content,
    md5,
    published,
    small_row,
    with_mirrors,
    zipped,
)

from mnistctl.data import download as download_module
from mnistctl.data import mnist
from mnistctl.data.images import Blob, Dataset
from mnistctl.data.registry import DATASETS, download, get_dataset, state_of
from mnistctl.errors import DataError, UsageError
from mnistctl.events import Reporter

REPORTER = Reporter()
FAMILY = [name for name, row in DATASETS.items() if row.published and name != "mnist"]
EMNIST = [name for name in FAMILY if name.startswith("emnist-")]


@pytest.fixture(params=FAMILY)
def row(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    return small_row(monkeypatch, request.param)


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    return small_row(monkeypatch, "emnist-letters")


@pytest.fixture
def fashion(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    return small_row(monkeypatch, "fashion")


def folder_of(row: Dataset, data_dir: Path) -> Path:
    assert row.published is not None
    return data_dir / row.published.folder


def form_of(row: Dataset) -> str:
    """How its files are published."""
    assert row.published is not None
    return "zip" if row.published.archive else "gz"


def test_the_rows_are_what_was_published() -> None:
    counts = {name: (len(row.classes), *row.sizes.values()) for name, row in DATASETS.items()}
    assert counts == {
        "mnist": (10, 60_000, 10_000),
        "fashion": (10, 60_000, 10_000),
        "kmnist": (10, 60_000, 10_000),
        "qmnist": (10, 60_000, 60_000),
        "emnist-digits": (10, 240_000, 40_000),
        "emnist-letters": (26, 124_800, 20_800),
        "emnist-balanced": (47, 112_800, 18_800),
        "synthetic": (10, 60_000, 10_000),
    }
    fashion = published("fashion")
    assert [file.gz.md5 for file in all_files(fashion)] == [
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ]
    assert all_files(fashion)[3].raw == Blob("t10k-labels-idx1-ubyte", 10_008)


def torchvisions(name: str, data_dir: Path, train: bool) -> tuple[torch.Tensor, list[int]]:
    """What torchvision makes of the same files: images as people see them, labels from 0."""
    datasets = pytest.importorskip("torchvision").datasets
    if name.startswith("emnist-"):
        part = name.removeprefix("emnist-")
        found = datasets.EMNIST(data_dir, split=part, train=train)
        first = 1 if part == "letters" else 0
        assert found.classes[first:] == list(DATASETS[name].classes)
        return found.data.transpose(1, 2), [found[k][1] - first for k in range(len(found))]
    kind = {"fashion": "FashionMNIST", "kmnist": "KMNIST", "qmnist": "QMNIST"}[name]
    found = getattr(datasets, kind)(data_dir, train=train)
    if name != "qmnist":
        assert found.classes == list(DATASETS[name].classes)
    return found.data, [found[k][1] for k in range(len(found))]


@pytest.mark.parametrize("split", ["train", "test"])
def test_it_equals_torchvision_on_its_files(row: Dataset, split: str, tmp_path: Path) -> None:
    """Laid out by torchvision: decompressed, without sums, and taken as it is."""
    lay_out(row, folder_of(row, tmp_path), "raw")
    before = sorted(path.name for path in folder_of(row, tmp_path).iterdir())
    ours = row.load(split, tmp_path, REPORTER)
    images, labels = torchvisions(row.name, tmp_path, split == "train")
    assert torch.equal(ours.images, images)
    assert ours.labels.tolist() == labels
    assert (ours.images.dtype, ours.labels.dtype) == (torch.uint8, torch.int64)
    assert (
        ours.labels.unique().tolist()[: SIZES[split]]
        == list(range(len(row.classes)))[: SIZES[split]]
    )
    assert sorted(path.name for path in folder_of(row, tmp_path).iterdir()) == before


def test_downloading_verifies_and_writes_sums(row: Dataset, tmp_path: Path) -> None:
    lay_out(row, tmp_path / "from", form_of(row))
    first = download(tmp_path, row.name, str(tmp_path / "from"))
    done = "extracted" if form_of(row) == "zip" else "downloaded"
    assert [file.status for file in first.files] == [done] * 4
    folder = folder_of(row, tmp_path)
    sums = mnist.read_sums(folder)
    for file, found in zip(all_files(published(row.name)), first.files, strict=True):
        for name in {file.raw.name, found.name}:
            assert sums[name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert found.sha256 == sums[found.name]
        assert found.bytes == (folder / found.name).stat().st_size
    again = download(tmp_path, row.name)
    assert [file.status for file in again.files] == ["present"] * 4
    assert len(row.load("test", tmp_path, REPORTER).images) == SIZES["test"]


def test_what_changed_since_is_not_used_but_repaired(fashion: Dataset, tmp_path: Path) -> None:
    lay_out(fashion, tmp_path / "from", "gz")
    download(tmp_path, "fashion", str(tmp_path / "from"))
    path = folder_of(fashion, tmp_path) / "t10k-images-idx3-ubyte"
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    path.with_name(path.name + ".gz").unlink()
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte is damaged.*SHA-256"):
        mnist.load(fashion, "test", tmp_path)
    result = download(tmp_path, "fashion", str(tmp_path / "from"))
    assert [file.status for file in result.files] == ["present", "present", "repaired", "present"]
    assert path.read_bytes() == good


def test_files_are_verified_damaged_or_missing(fashion: Dataset, tmp_path: Path) -> None:
    assert state_of(fashion, tmp_path) == "missing"
    lay_out(fashion, tmp_path / "from", "gz")
    download(tmp_path, "fashion", str(tmp_path / "from"))
    assert state_of(fashion, tmp_path) == "verified"
    files = list(folder_of(fashion, tmp_path).glob("*ubyte*"))
    assert len(files) == 8
    for path in files:  # none of them is left whole
        path.write_bytes(path.read_bytes()[:-1])
        assert state_of(fashion, tmp_path) != "missing"
    assert state_of(fashion, tmp_path) == "damaged"


def test_a_wrong_checksum(fashion: Dataset, tmp_path: Path) -> None:
    lay_out(fashion, tmp_path / "from", "gz")
    path = tmp_path / "from" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"train-labels.*\(damaged: not the published file\)"):
        download(tmp_path, "fashion", str(tmp_path / "from"))
    assert not (folder_of(fashion, tmp_path) / path.name).exists()


def test_flat_files_of_another_data_set_are_not_taken(fashion: Dataset, tmp_path: Path) -> None:
    """MNIST's files have the same names; flat and decompressed, nothing tells them apart."""
    lay_out(fashion, tmp_path, "raw")
    with pytest.raises(DataError, match="no train-images-idx3-ubyte.gz in"):
        mnist.load(fashion, "train", tmp_path)
    lay_out(fashion, tmp_path, "gz")
    assert len(mnist.load(fashion, "train", tmp_path).images) == SIZES["train"]


@pytest.mark.parametrize(
    "change",
    ["more images than bytes", "fewer images than bytes", "other side", "other type", "other rank"],
)
def test_a_header_that_lies(fashion: Dataset, tmp_path: Path, change: str) -> None:
    folder = folder_of(fashion, tmp_path)
    lay_out(fashion, folder, "raw")
    path = folder / "train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    place, value = {
        "more images than bytes": (4, 255),
        "fewer images than bytes": (7, 59),
        "other side": (11, 27),
        "other type": (2, 9),
        "other rank": (3, 2),
    }[change]
    content[place] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match="not an IDX file of 60 x 28 x 28 and 47,056 bytes"):
        mnist.load(fashion, "train", tmp_path)


@pytest.mark.parametrize(("name", "label"), [("fashion", 10), ("emnist-letters", 0)])
def test_labels_of_no_class(
    name: str, label: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = small_row(monkeypatch, name)
    folder = folder_of(row, tmp_path)
    lay_out(row, folder, "raw")
    path = folder / all_files(published(name))[3].raw.name
    path.write_bytes(path.read_bytes()[:-1] + bytes([label]))
    with pytest.raises(DataError, match="holds labels of no class"):
        mnist.load(row, "test", tmp_path)


# The archive


def test_only_what_is_needed_comes_out_of_the_archive(letters: Dataset, tmp_path: Path) -> None:
    folder = folder_of(letters, tmp_path)
    lay_out(letters, folder, "zip")
    result = download(tmp_path, "emnist-letters")
    assert [file.status for file in result.files] == ["extracted"] * 4
    assert {file.source for file in result.files} == {str(folder / "gzip.zip")}
    names = {file.raw.name for file in all_files(published("emnist-letters"))}
    assert {path.name for path in folder.iterdir()} == names | {"gzip.zip", "SHA256SUMS"}
    assert not list(tmp_path.rglob("outside.txt"))


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty", "directory"])
def test_a_damaged_archive(letters: Dataset, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "gzip.zip"
    lay_out(letters, tmp_path, "zip")
    good = path.read_bytes()
    path.unlink()
    if damage == "directory":
        path.mkdir()
    else:
        altered = good[:90] + bytes([good[90] ^ 1]) + good[91:]
        path.write_bytes({"truncated": good[:-9], "altered": altered}.get(damage, b""))
    with pytest.raises(DataError, match=r"can't get gzip.zip; .*gzip.zip is damaged: "):
        download(tmp_path / "data", "emnist-letters", str(tmp_path))


def with_archive(
    monkeypatch: pytest.MonkeyPatch, row: Dataset, content: bytes, folder: Path
) -> None:
    """Publish another archive, of a sum that is right."""
    assert row.published is not None
    archive = Blob("gzip.zip", len(content), md5=md5(content))
    changed = replace(row, published=replace(row.published, archive=archive))
    monkeypatch.setitem(DATASETS, row.name, changed)
    (folder / "gzip.zip").write_bytes(content)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("no member", "no emnist-letters-train-images-idx3-ubyte.gz in it"),
        ("bomb", "not an IDX file of 60 x 28 x 28"),
        ("no gzip", "incorrect header check"),
        ("cut gzip", "not an IDX file"),
        ("no zip", "File is not a zip file"),
    ],
)
def test_an_archive_that_lies(
    letters: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str, reason: str
) -> None:
    contents = [compressed(own) for own in made_content(letters, SIZES)]
    names = [file.raw.name for file in all_files(published("emnist-letters"))]
    if lie == "no member":
        names[0] = "another"
    contents[0] = {
        "bomb": compressed(idx_bytes(torch.zeros(60, 28, 28).byte().numpy(), 8) + bytes(1 << 24)),
        "no gzip": b"<html>",
        "cut gzip": contents[0][:-40],
    }.get(lie, contents[0])
    content = b"no archive" if lie == "no zip" else zipped(names, contents)
    with_archive(monkeypatch, letters, content, tmp_path)
    with pytest.raises(DataError, match=reason):
        download(tmp_path / "data", "emnist-letters", str(tmp_path))


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server of tmp_path/mirror, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "mirror"))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


def test_an_archive_is_fetched_once_and_kept_for_its_other_parts(
    letters: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mirror: tuple[str, list[str]],
) -> None:
    url, asked = mirror
    lay_out(letters, tmp_path / "mirror", "zip")
    with_mirrors(monkeypatch, url, name="emnist-letters")
    found = get_dataset("emnist-letters").load("train", tmp_path, REPORTER)
    assert found.images.shape == (60, 28, 28)
    assert asked == ["/gzip.zip"]
    for path in folder_of(letters, tmp_path).glob("emnist-*"):
        path.unlink()
    assert download(tmp_path, "emnist-letters").files[0].status == "extracted"
    for path in folder_of(letters, tmp_path).glob("emnist-*"):
        path.unlink()
    assert download(tmp_path, "emnist-letters", url).files[0].status == "extracted"
    assert asked == ["/gzip.zip"]


@pytest.mark.parametrize("content", [b"no gzip", None], ids=["no gzip", "cut short"])
def test_a_gz_of_unknown_origin_is_not_trusted(
    letters: Dataset, tmp_path: Path, content: bytes | None
) -> None:
    """The archive alone has a sum of its own, what is in it has none."""
    lay_out(letters, tmp_path / "from", "zip")
    folder = folder_of(letters, tmp_path)
    folder.mkdir(parents=True)
    name = published("emnist-letters").files["train"][0].raw.name
    whole = gzip.compress(bytes(47_056), mtime=0)
    (folder / f"{name}.gz").write_bytes(content or whole[: len(whole) // 2])
    first = download(tmp_path, "emnist-letters", str(tmp_path / "from")).files[0]
    assert first.status == "repaired"
    assert len(get_dataset("emnist-letters").load("train", tmp_path, REPORTER).images) == 60
    assert not (folder / f"{name}.gz").exists()
    assert f"{name}.gz" not in mnist.read_sums(folder)


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-10:] = bytes(10)
    path.write_bytes(content)


def test_what_another_program_decompressed_gives_way_to_a_gz_with_a_sum(
    fashion: Dataset, tmp_path: Path
) -> None:
    """Whether it is intact, nothing tells."""
    lay_out(fashion, folder_of(fashion, tmp_path), "gz")
    folder = folder_of(fashion, tmp_path)
    load = get_dataset("fashion").load
    whole = load("test", tmp_path, REPORTER)
    for path in folder.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    for path in folder.glob("t10k*ubyte"):
        altered(path)
    assert torch.equal(load("test", tmp_path, REPORTER).labels, whole.labels)
    assert state_of(fashion, tmp_path) == "verified"
    for path in folder.glob("*.gz"):
        path.unlink()
    assert not torch.equal(load("test", tmp_path, REPORTER).labels, whole.labels)
    assert state_of(fashion, tmp_path) == "unverified"


def test_what_cannot_be_verified_is_not_called_so(fashion: Dataset, tmp_path: Path) -> None:
    source, data = tmp_path / "from", tmp_path / "data"
    lay_out(fashion, source, "gz")
    lay_out(fashion, folder_of(fashion, data), "gz")
    folder = folder_of(fashion, data)
    for path in folder.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="can't get train-images"):
        download(data, "fashion", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="can't get train-images"):
        download(tmp_path / "other", "fashion", str(data))
    assert mnist.read_sums(folder) == {}
    assert state_of(fashion, data) == "unverified"
    files = download(data, "fashion", str(source)).files
    assert {file.status for file in files} == {"downloaded"}
    assert len(mnist.read_sums(folder)) == 8
    assert state_of(fashion, data) == "verified"


def test_parts_of_an_archive_that_come_at_once_keep_each_others_sums(
    letters: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = small_row(monkeypatch, "emnist-digits")
    for row in (letters, digits):
        lay_out(row, tmp_path / row.name, "zip")
    both = [
        download_module._Download(row, tmp_path / "data", str(tmp_path / row.name), False, REPORTER)
        for row in (letters, digits)
    ]
    for own in both:
        own.run()
    names = mnist.read_sums(folder_of(letters, tmp_path / "data")).keys()
    assert {name.split("-")[1] for name in names} == {"letters", "digits"}


def test_an_archive_of_another_sum_is_not_kept(
    letters: Dataset, tmp_path: Path, mirror: tuple[str, list[str]]
) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "gzip.zip").write_bytes(b"<html>sign in</html>")
    with pytest.raises(DataError, match="sent something other than the published file"):
        download(tmp_path, "emnist-letters", mirror[0])
    assert list(folder_of(letters, tmp_path).iterdir()) == []


def test_a_data_set_without_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'synthetic' needs no download: digits drawn"):
        download(tmp_path, "synthetic")
    assert list(tmp_path.iterdir()) == []
