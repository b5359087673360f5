"""The networks that can be asked: their names, loaded once, and pictures asked in batches."""

import asyncio
import contextlib
import copy
import os
import shlex
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from mnistctl.data.images import DIGITS
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.onnx_model import SUFFIX
from mnistctl.engine.inference.predict import Prediction, predict_prepared
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.errors import CheckpointError, unknown
from mnistctl.events import Reporter
from mnistctl.imaging.prepare import Prepared
from mnistctl.store.config import store_words
from mnistctl.store.resolve import SHIPPED
from mnistctl.store.runs import (
    BEST_NAME,
    LAST_NAME,
    RESULT_NAME,
    RunInfo,
    describe,
    list_runs,
)

MAX_LOADED = 4
SHIPPED_NAME = "shipped"

Pictures = Sequence[tuple[int, str, Prepared]]
"""Prepared images, each with the number and name of the upload that it is from."""


@dataclass(frozen=True)
class Network:
    """A loaded network and the name that requests call it by."""

    name: str
    model: LoadedModel

    @cached_property
    def explained(self) -> Predictor:
        """A copy: hooks that record its layers see no answer to another request.

        Raises UsageError where the network can't be looked into.
        """
        self.model.predictor.network  # noqa: B018 (an exported one has none, and can't be copied)
        return copy.deepcopy(self.model.predictor)


class Networks:
    """The one chosen at the start, the store's runs, and the shipped weights.

    A request names a network, never a path: only names in the listing are known.
    """

    def __init__(
        self,
        argument: str | None,
        store: Path,
        device: str | None,
        precision: str | None,
        reporter: Reporter,
    ) -> None:
        """Load what `argument` means, for `None` in requests; see `load_model` for errors."""
        self.store, self.device, self.precision = store, device, precision
        model = load_model(argument, store, device, precision, reporter)
        name = SHIPPED_NAME if model.path == SHIPPED else model.predictor.name
        run = self._runs().get(name)
        if run and not model.path.resolve().is_relative_to(run.directory.resolve()):
            name = str(model.path)  # that of a run elsewhere
            run = None
        self.default = Network(name, model)
        self._run = run.directory if run else None
        self._finished = self._time_of_result()
        self._loaded: OrderedDict[tuple[str, float], Network] = OrderedDict()

    def listing(self) -> list[dict[str, Any]]:
        """What `GET /api/models` says of each, the default first, then the newest run."""
        runs = self._runs()
        names = [self.default.name, *reversed(runs), SHIPPED_NAME]
        return [self._describe(name, runs.get(name)) for name in dict.fromkeys(names)]

    def _describe(self, name: str, run: RunInfo | None) -> dict[str, Any]:
        recipe: str | None = None
        dataset: str | None = None
        classes = DIGITS
        if name == self.default.name:
            model = self.default.model
            recipe, dataset = model.predictor.recipe.name, model.dataset
            classes = model.predictor.classes
        elif run and run.config:
            recipe, dataset = run.config.recipe.name, run.config.dataset
            classes = run.config.classes
        return {
            "name": name,
            "recipe": recipe,
            "dataset": dataset,
            "classes": list(classes),
            "accuracy": run.result.test.accuracy if run and run.result else None,
        }

    def _latest_default(self) -> Network:
        """The one chosen at the start; of a run that was extended since, as it ended."""
        finished = self._time_of_result()
        if finished not in (None, self._finished):
            self._finished = finished
            with contextlib.suppress(CheckpointError):  # else what is loaded answers on
                model = load_model(
                    str(self._run), self.store, self.device, self.precision, Reporter()
                )
                self.default = Network(self.default.name, model)
        return self.default

    def _time_of_result(self) -> float | None:
        try:
            return None if self._run is None else (self._run / RESULT_NAME).stat().st_mtime
        except OSError:  # being extended, or removed
            return None

    def train_command(self, directory: Path) -> str:
        """The command that trains the network chosen at the start on pictures in `directory`."""
        model, init = self.default.model, [str(self.default.model.path)]
        if model.path == SHIPPED or model.path.suffix.lower() == SUFFIX:  # no network to begin with
            init = [SHIPPED_NAME]
        elif self._run:
            init = [self._run.name, *store_words(self.store)]
        prepare = [] if model.prepare == "ink" else ["--prepare", model.prepare]
        return shlex.join(
            ["mnistctl", "train", "--dataset", str(directory), *prepare, "--init", *init]
        )

    def _runs(self) -> dict[str, RunInfo]:
        """Runs with a checkpoint, oldest first."""
        return {run.name: run for run in list_runs(self.store) if _can_answer(run)}

    def _run_called(self, name: str) -> RunInfo | None:
        """The one of that name, without a look at the others."""
        directory = self.store / name
        if os.path.basename(name) != name or name[:1] in ("", ".") or "\0" in name:
            return None
        if os.path.islink(directory):
            return None
        run = describe(directory)
        return run if _can_answer(run) else None

    def get(self, name: str | None) -> Network:
        """The network of that name, loaded when it is first asked for, or has changed since.

        Raises UsageError for a name that is not in the listing, CheckpointError.
        """
        if name is None or name == self.default.name:
            return self._latest_default()
        run = self._run_called(name)
        if name != SHIPPED_NAME and run is None:
            known = [entry["name"] for entry in self.listing()]
            raise unknown("checkpoint", name, tuple(known), "see /api/models")
        key = (name, run.modified if run else 0.0)
        if key not in self._loaded:
            argument = str(run.directory) if run else SHIPPED_NAME
            model = load_model(argument, self.store, self.device, self.precision, Reporter())
            self._loaded[key] = Network(name, model)
            while len(self._loaded) > MAX_LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def _can_answer(run: RunInfo) -> bool:
    files = (run.directory / own for own in (LAST_NAME, BEST_NAME))
    return run.config is not None and any(map(os.path.exists, files))


@dataclass(frozen=True)
class _Question:
    network: Network
    pictures: Pictures
    multi: bool
    answer: "asyncio.Future[list[Prediction]]"


class Asker:
    """Asks networks in one thread, all pictures that wait at a time as one batch.

    Eight pictures take a network little longer than one, so requests that come while it is busy
    are answered together. Nothing waits for a batch to fill.
    """

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self._waiting: list[_Question] = []
        self._task: asyncio.Task[None] | None = None

    async def predict(self, network: Network, pictures: Pictures, multi: bool) -> list[Prediction]:
        """Predictions in the order of `pictures`. Raises CheckpointError."""
        loop = asyncio.get_running_loop()
        question = _Question(network, pictures, multi, loop.create_future())
        self._waiting.append(question)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._answer_all())
        return await question.answer

    async def _answer_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            groups: defaultdict[tuple[int, bool], list[_Question]] = defaultdict(list)
            for question in self._waiting:
                groups[id(question.network), question.multi].append(question)
            self._waiting = []
            for questions in groups.values():
                try:
                    answers = await loop.run_in_executor(self._thread, _predict, questions)
                except Exception as error:  # the questions' own, raised where they are awaited
                    for question in questions:
                        if not question.answer.done():
                            question.answer.set_exception(error)
                    continue
                for question, answer in zip(questions, answers, strict=True):
                    if not question.answer.done():
                        question.answer.set_result(answer)


def _predict(questions: list[_Question]) -> list[list[Prediction]]:
    first = questions[0]
    batch = [picture for question in questions for picture in question.pictures]
    answers: Iterator[Prediction] = iter(
        predict_prepared(first.network.model.predictor, batch, first.multi)
    )
    return [list(islice(answers, len(question.pictures))) for question in questions]
