"""What a person asked to see, the same for every kind of view."""

from dataclasses import dataclass, field
from pathlib import Path

from mnistctl.data.names import check_dataset
from mnistctl.engine.inference.subject import Subject, find_hardware, load_subject
from mnistctl.errors import UsageError
from mnistctl.events import NullReporter, Reporter
from mnistctl.imaging.ink import Invert


@dataclass(frozen=True)
class ViewRequest:
    """The options of `visualize`; each kind reads its own, None means its default."""

    store: Path
    data_dir: Path
    checkpoints: tuple[str, ...] = ()
    dataset: str | None = None
    split: str = "test"
    device: str | None = None
    precision: str | None = None
    index: int = 0
    image: str | None = None
    """A picture file in place of an image of the data set."""
    invert: Invert = "auto"
    """Of the picture file: its polarity, as `data.photo.prepare` takes it."""
    count: int | None = None
    digit: int | None = None
    seed: int | None = None
    augmented: str | None = None
    """A recipe whose augmentation is shown."""
    method: str | None = None
    reporter: Reporter = field(default_factory=NullReporter)

    def __post_init__(self) -> None:
        """Raise UsageError on numbers out of their ranges."""
        if self.dataset is not None:
            check_dataset(self.dataset)
        if self.count is not None and not 1 <= self.count <= MAX_COUNT:
            raise UsageError(f"--count {self.count}: 1 to {MAX_COUNT}")
        if self.digit is not None and not 0 <= self.digit <= 9:
            raise UsageError(f"--digit {self.digit}: 0 to 9")
        if self.seed is not None and not 0 <= self.seed < 1 << 63:
            raise UsageError(f"--seed {self.seed}: 0 to 2**63-1")

    def subject(self) -> Subject:
        """The network asked for on the split asked for."""
        return self.subjects(1)[0]

    def subjects(self, number: int) -> list[Subject]:
        """`number` networks on one split; without names, the latest finished run alone."""
        hardware = find_hardware(self.device, self.precision, self.reporter)
        names: tuple[str | None, ...] = self.checkpoints or (None,)
        return [
            load_subject(
                name,
                hardware,
                store=self.store,
                data_dir=self.data_dir,
                dataset=self.dataset,
                split=self.split,
                reporter=self.reporter,
            )
            for name in names[:number]
        ]


MAX_COUNT = 400
"""Images in one picture; more would be too small to see."""
