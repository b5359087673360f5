"""Every data set: one row each. Imports no torch, so that the command line knows the names."""

import hashlib
import math
import os
import string
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistctl.data.images import (
    DIGITS,
    MNIST_SIZES,
    SPLITS,
    Blob,
    Dataset,
    IdxFile,
    LabelledImages,
    Preparation,
    Published,
)
from mnistctl.errors import DataError, UsageError, unknown
from mnistctl.events import Reporter

if TYPE_CHECKING:
    from mnistctl.data.download import DownloadResult

DEFAULT_DATASET = "mnist"
SILENT = Reporter()
MNIST_PIXELS = (0.1307, 0.3081)


def idx_dataset(
    name: str,
    summary: str,
    classes: Sequence[str],
    *,
    folder: str,
    mirrors: Sequence[str],
    names: Sequence[str],
    gz_bytes: Sequence[int] = (0, 0, 0, 0),
    sums: Sequence[str] = ("", "", "", ""),
    sizes: Mapping[str, int] = MNIST_SIZES,
    columns: int = 0,
    archive: Blob | None = None,
    transposed: bool = False,
    first_label: int = 0,
    pixels: tuple[float, float] | None = None,
    epochs: float = 1.0,
    augmentation: Mapping[str, Any] | None = None,
    label_errors: Mapping[str, tuple[int, ...]] | None = None,
    prepare: Preparation = "ink",
) -> Dataset:
    """A row of the IDX family.

    `names` are those of its train images, train labels, test images and test labels, `gz_bytes`
    and `sums` those of each as .gz: their MD5 sums, or their SHA-256 and then those of the files
    decompressed. With `columns` a label is a row of so many 32-bit numbers, the first of which is
    the class. The rest is explained in `Dataset` and `Published`.
    """
    shapes: list[tuple[int, ...]] = []
    for split in SPLITS:
        shapes += [(sizes[split], 28, 28), (sizes[split], columns) if columns else (sizes[split],)]
    known = zip(names, shapes, gz_bytes, sums[:4], sums[4:] or [""] * 4, strict=True)
    each = [_idx_file(*one) for one in known]
    files = {"train": (each[0], each[1]), "test": (each[2], each[3])}
    published = Published(folder, tuple(mirrors), files, archive, transposed, first_label)
    return Dataset(
        name=name,
        summary=summary,
        classes=tuple(classes),
        sizes=sizes,
        load=partial(_load_published, name),
        fingerprint=partial(_published_fingerprint, published),
        pixels=pixels,
        epochs=epochs,
        augmentation=augmentation or {},
        prepare=prepare,
        published=published,
        label_errors=label_errors or {},
    )


def _idx_file(
    name: str, shape: tuple[int, ...], gz_bytes: int, gz_sum: str, raw_sha256: str
) -> IdxFile:
    # IDX: a magic number of 4 bytes, then 4 bytes for the length of each dimension.
    item_bytes = 4 if len(shape) == 2 else 1
    raw = Blob(name, 4 + 4 * len(shape) + math.prod(shape) * item_bytes, raw_sha256)
    sums = {"sha256": gz_sum} if raw_sha256 else {"md5": gz_sum}
    return IdxFile(Blob(f"{name}.gz", gz_bytes or raw.bytes, **sums), raw, shape)


def _load_published(name: str, split: str, data_dir: Path, reporter: Reporter) -> LabelledImages:
    from mnistctl.data import mnist

    row = DATASETS[name]
    try:
        return mnist.load(row, split, data_dir)
    except DataError as problem:
        reporter.say(f"{problem.message}; getting {name}")
        download(data_dir, name, reporter=reporter)
        return mnist.load(row, split, data_dir)


def _published_fingerprint(published: Published) -> str:
    """SHA-256 over what is known of the files and of how they are read."""
    archive = published.archive.md5 if published.archive else ""
    known = [
        file.raw.sha256 or file.gz.md5 or f"{archive}/{file.raw.name}"
        for split in SPLITS
        for file in published.files[split]
    ]
    return hashlib.sha256("".join(known).encode()).hexdigest()


def _load_synthetic(split: str, data_dir: Path, reporter: Reporter) -> LabelledImages:
    from mnistctl.data import synthetic

    return synthetic.load(split, reporter=reporter)


def _synthetic_fingerprint() -> str:
    from mnistctl.data import synthetic

    return synthetic.fingerprint()


def idx_names(prefix: str = "", test: str = "t10k", labels: str = "labels-idx1-ubyte") -> list[str]:
    """What all of them call train images, train labels, test images and test labels."""
    kinds = ("images-idx3-ubyte", labels)
    return [f"{prefix}{split}-{kind}" for split in ("train", test) for kind in kinds]


def emnist_dataset(
    part: str, summary: str, classes: Sequence[str], sizes: Mapping[str, int], first_label: int = 0
) -> Dataset:
    """A row for one of EMNIST's parts, which share an archive."""
    return idx_dataset(
        f"emnist-{part}",
        f"EMNIST: {summary}",
        classes,
        sizes=sizes,
        folder="EMNIST/raw",
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST/",),
        names=idx_names(f"emnist-{part}-", test="test"),
        archive=Blob("gzip.zip", 561_753_746, md5="58c8d27c78d21e728a6bc7b3cc06412e"),
        transposed=True,
        first_label=first_label,
        pixels=(0.1751, 0.3332),
    )


DATASETS: dict[str, Dataset] = {
    row.name: row
    for row in (
        idx_dataset(
            "mnist",
            "handwritten digits",
            DIGITS,
            folder="MNIST/raw",
            # The live one first; the last is the original home, which often answers 403 or 404.
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "http://yann.lecun.com/exdb/mnist/",
            ),
            names=idx_names(),
            gz_bytes=(9_912_422, 28_881, 1_648_877, 4_542),
            sums=(
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            pixels=MNIST_PIXELS,
            # Where people outvoted the label (Northcutt, Athalye and Mueller, arXiv:2103.14749).
            label_errors={
                "test": (
                    *(947, 1621, 1901, 2130, 2462, 2597, 2654, 3520),
                    *(3558, 5937, 6651, 6783, 8527, 9679, 9729),
                )
            },
        ),
        idx_dataset(
            "fashion",
            "Fashion-MNIST: pictures of clothes",
            (
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            folder="FashionMNIST/raw",
            mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
            names=idx_names(),
            gz_bytes=(26_421_880, 29_515, 4_422_102, 5_148),
            sums=(
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
            pixels=(0.2860, 0.3530),
            # Clothes hang straight, and what tells them apart is fine: shifts that blur cost
            # `standard` 0.4 points on 10,000 validation images.
            epochs=1.8,
            augmentation=dict.fromkeys(("rotate", "scale", "shear", "stretch"), 0.0)
            | {"shift": 1.0, "whole_shifts": True, "flip": 0.5},
            prepare="resize",
        ),
        idx_dataset(
            "kmnist",
            "Kuzushiji-MNIST: cursive Japanese, by ROIS-DS CODH, CC BY-SA 4.0",
            ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            folder="KMNIST/raw",
            mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            names=idx_names(),
            gz_bytes=(18_165_135, 29_497, 3_041_136, 5_120),
            sums=(
                "bdb82020997e1d708af4cf47b453dcf7",
                "e144d726b3acfaa3e44228e80efcd344",
                "5c965bf0a639b31b8f53240b1b52f4d7",
                "7320c461ea6c1c855c0b718fb2a4b134",
            ),
            pixels=(0.1918, 0.3483),
        ),
        idx_dataset(
            "qmnist",
            "QMNIST: MNIST made again, with 60,000 test images",
            DIGITS,
            folder="QMNIST/raw",
            mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
            names=idx_names("qmnist-", test="test", labels="labels-idx2-int"),
            gz_bytes=(9_704_059, 463_024, 9_742_279, 526_800),
            sums=(
                "ed72d4157d28c017586c42bc6afe6370",
                "0058f8dd561b90ffdd0f734c6a30e5e4",
                "1394631089c404de565df7b7aeaf9412",
                "5b5b05890a5e13444e108efe57b788aa",
            ),
            sizes={"train": 60_000, "test": 60_000},
            columns=8,
            pixels=MNIST_PIXELS,
        ),
        emnist_dataset(
            "digits", "280,000 handwritten digits", DIGITS, {"train": 240_000, "test": 40_000}
        ),
        emnist_dataset(
            "letters",
            "handwritten letters, large and small as one",
            string.ascii_lowercase,
            {"train": 124_800, "test": 20_800},
            first_label=1,
        ),
        emnist_dataset(
            "balanced",
            "digits and letters in 47 classes",
            string.digits + string.ascii_uppercase + "abdefghnqrt",
            {"train": 112_800, "test": 18_800},
        ),
        Dataset(
            name="synthetic",
            summary="digits drawn at run time, no download",
            classes=DIGITS,
            sizes=MNIST_SIZES,
            load=_load_synthetic,
            fingerprint=_synthetic_fingerprint,
            pixels=MNIST_PIXELS,
        ),
    )
}


def get_dataset(name: str) -> Dataset:
    """The data set called `name`, or that in the directory `name` (see `data.folder`).

    Raises UsageError with the near match when there is none, and DataError for a directory that
    holds no classes of pictures.
    """
    if name in DATASETS:
        return DATASETS[name]
    from mnistctl.data import folder

    path, options = folder.parse(name)
    if os.path.isdir(path):
        return folder.dataset(path, options)
    if os.sep in name or os.path.exists(path):
        raise UsageError(
            f"{path} is not a directory",
            f"a data set is a directory of pictures, or one of: {', '.join(DATASETS)}",
        )
    raise unknown(
        "data set", name, tuple(DATASETS), "or a directory with a subdirectory for each class"
    )


def preparation(name: str | None) -> Preparation:
    """How pictures are prepared for what was trained on the data set `name`, wherever it is now."""
    if name in DATASETS:
        return DATASETS[name].prepare
    from mnistctl.data import folder

    return "resize" if name and "resize" in folder.parse(name)[1] else "ink"


def download(
    data_dir: Path,
    dataset: str = DEFAULT_DATASET,
    source: str | None = None,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> "DownloadResult":
    """Get the files of the data set called `dataset` (see `data.download.download_files`)."""
    from mnistctl.data.download import download_files

    return download_files(get_dataset(dataset), data_dir, source, force, reporter)


def state_of(dataset: Dataset, data_dir: Path) -> str:
    """How its files are in `data_dir`, see `mnist.state`; of one without files what it is."""
    if dataset.published is None:
        return "drawn at run time" if dataset.name in DATASETS else "a directory"
    from mnistctl.data.mnist import state

    return state(dataset.published, data_dir)


def check_split(name: str) -> str:
    """`name` if it is a split. Raises UsageError with the near match when it is not."""
    if name not in SPLITS:
        raise unknown("split", name, SPLITS)
    return name
