"""Handwriting of one's own, `train --dataset DIR`: five folds over writers of photographs.

`python -m tests.bench.folds_digits ../shared/digits --seeds 3` trains on the digits of four fifths
of the writers and tests on the others, once for each fold: from nothing, from the shipped weights,
and, untrained, the shipped weights as they are. One JSON line a training, with the SHA-256 of the
shipped weights; nothing is chosen.
"""

import argparse
import hashlib
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import mnistctl
from mnistctl.events import Reporter
from mnistctl.store.resolve import SHIPPED
from tests.bench.figures import source

FOLDS = 5
RESULTS = Path(__file__).parent / "results" / "folds_digits.jsonl"
ENDINGS = (".png", ".jpg", ".jpeg")
WAYS: dict[str, dict[str, Any]] = {
    "untrained": {},
    "--init shipped --epochs 2": {"init": "shipped", "epochs": 2},
    "--init shipped --epochs 2 --ensemble 3": {"init": "shipped", "epochs": 2, "ensemble": 3},
    "--epochs 60": {"epochs": 60},
}


def folds(pictures: list[Path]) -> list[set[str]]:
    """Writers in five groups with about as many pictures each, the same every time."""
    counts = Counter(picture.name.split("_")[1] for picture in pictures)
    groups: list[set[str]] = [set() for _ in range(FOLDS)]
    for writer, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        min(groups, key=lambda own: sum(counts[name] for name in own)).add(writer)
    return groups


def lay_out(pictures: list[Path], tested: set[str], root: Path) -> None:
    """DIR/train/CLASS and DIR/test/CLASS of links to `pictures`."""
    for picture in pictures:
        label, writer, _ = picture.name.split("_")
        place = root / ("test" if writer in tested else "train") / label / picture.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(picture.resolve())


def main() -> None:
    """Train, test, and append a line for each fold, seed and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    shipped = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    pictures = sorted(path for path in asked.pictures.iterdir() if path.suffix in ENDINGS)
    totals: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        for fold, tested in enumerate(folds(pictures)):
            root = Path(temporary) / f"fold-{fold}"
            lay_out(pictures, tested, root)
            for way in asked.ways:
                for seed in range(asked.seeds if WAYS[way] else 1):
                    correct, total = run(way, root, seed, Path(temporary))
                    totals[way] += correct
                    totals[f"{way}, of"] += total
                    line = {"way": way, "fold": fold, "seed": seed, "correct": correct}
                    line |= {"total": total, "shipped_sha256": shipped}
                    with asked.out.open("a") as file:
                        file.write(json.dumps(line | source()) + "\n")
    for way in asked.ways:
        correct, total = totals[way], totals[f"{way}, of"]
        print(f"{way}: {correct} of {total}, {100 * correct / total:.1f} %")


def run(way: str, root: Path, seed: int, data_dir: Path) -> tuple[int, int]:
    """Correct predictions on the fold's test pictures, and how many there are."""
    quiet = Reporter()
    if not WAYS[way]:
        model = mnistctl.load("shipped", device="cpu", reporter=quiet)
        scores = model.evaluate(str(root), data_dir=data_dir, reporter=quiet)
        return scores.correct, scores.total
    result = mnistctl.train(
        dataset=str(root),
        seed=seed,
        data_dir=data_dir,
        store=data_dir / "runs",
        device="cpu",
        precision="fp32",
        reporter=quiet,
        **WAYS[way],
    )
    return result.result.test.correct, result.result.test.total


if __name__ == "__main__":
    main()
