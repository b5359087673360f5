"""An ensemble trains its members as the runs they are, answers as one, and survives a stop."""

import contextlib
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import load_small_split
from torch import nn

from mnistctl import device as device_module
from mnistctl.data.images import DIGITS
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.loading import load_model
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.engine.training import ensemble as ensemble_module
from mnistctl.engine.training import loop
from mnistctl.engine.training import run as run_module
from mnistctl.engine.training import single as single_module
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.run import train
from mnistctl.engine.training.single import final_result
from mnistctl.errors import (
    CheckpointError,
    Interrupted,
    LackOfMemory,
    MnistctlError,
    Terminated,
    UsageError,
)
from mnistctl.events import Reporter, StepReport
from mnistctl.models.ensemble import Ensemble
from mnistctl.recipes import RECIPES
from mnistctl.store import checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.lock import locked
from mnistctl.store.resolve import resolve
from mnistctl.store.result import RunResult, TrainResult
from mnistctl.store.rotation import epochs_saved
from mnistctl.store.runs import describe

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("small_datasets")


@pytest.fixture
def request_(tmp_path: Path) -> TrainRequest:
    return TrainRequest(
        store=tmp_path / "runs",
        data_dir=tmp_path,
        recipe="mlp",
        device="cpu",
        precision="fp32",
        epochs=1,
        seed=3,
        ensemble=2,
    )


def trained(request: TrainRequest, reporter: Reporter | None = None) -> TrainResult:
    result = train(request, reporter or Reporter())
    assert result is not None
    return result


def weights_at(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(path).weights


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_members_are_the_runs_of_their_seeds(request_: TrainRequest) -> None:
    ensemble = trained(request_)
    both = weights_at(ensemble.checkpoint)
    found = [(member.seed, member.accuracy) for member in ensemble.result.members]
    for index, seed in enumerate((3, 4)):
        alone = trained(replace(request_, ensemble=None, seed=seed, name=f"alone-{seed}"))
        own = weights_at(alone.checkpoint)
        assert all(torch.equal(both[f"members.{index}.{name}"], own[name]) for name in own)
        assert found[index] == (seed, alone.result.test.accuracy)
        assert ensemble.result.parameters == 2 * alone.result.parameters
    assert len(both) == 2 * len(own)
    assert ensemble.to_dict()["members"] == [
        {"seed": seed, "accuracy": accuracy} for seed, accuracy in found
    ]
    assert "members" not in alone.to_dict()


def test_settings_reach_every_member(request_: TrainRequest) -> None:
    ensemble = trained(replace(request_, settings=("momentum=0.5",)))
    for seed in (3, 4):
        config = describe(ensemble.directory / "members" / f"seed-{seed}").config
        assert config
        assert config.recipe == replace(RECIPES["mlp"], momentum=0.5, epochs=1)
    assert ensemble.config.recipe.label == "mlp (epochs=1, momentum=0.5)"


def test_answer_is_the_mean_of_the_members_probabilities(request_: TrainRequest) -> None:
    result = trained(request_).result
    loaded = load_model("mlp-1", request_.store, "cpu", "fp32", Reporter()).predictor
    assert isinstance(loaded.network, Ensemble)
    test = load_small_split("test", request_.data_dir, Reporter())

    def probabilities(network: nn.Module) -> torch.Tensor:
        return Predictor(network, RECIPES["mlp"], DIGITS, CPU, "fp32").probabilities(test.images)

    mean = (probabilities(loaded.members[0]) + probabilities(loaded.members[1])) / 2
    assert torch.allclose(loaded.probabilities(test.images), mean, atol=1e-6)
    tested = loaded.scores(test.images, test.labels)
    correct = int((mean.argmax(1) == test.labels).sum())
    assert result.test.correct == tested.correct == correct


def test_a_stopped_ensemble_resumes_to_the_same_bits(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(replace(request_, name="whole"))

    class Stopper(Reporter):
        members = 0

        def say(self, text: str) -> None:
            self.members += text.startswith("Member")

        def step(self, report: StepReport) -> None:
            if self.members == 2 and report.step >= 20:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as stop:
        train(replace(request_, name="parted", log_every=5), Stopper())
    assert stop.value.message == "member 2: Interrupted at epoch 1, step 20. Checkpoint saved."
    assert "Resume with: mnistctl train --resume parted --store" in stop.value.hint
    with pytest.raises(CheckpointError, match="not all trained"):
        resolve("parted", request_.store)
    assert epochs_saved(describe(request_.store / "parted")) == 0
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="parted")
    parted = trained(again)
    assert same_bits(weights_at(parted.checkpoint), weights_at(whole.checkpoint))
    assert parted.result.test == whole.result.test
    assert epochs_saved(describe(request_.store / "parted")) == 1
    finished = json.loads((request_.store / "parted" / "result.json").read_text())
    assert trained(again).result == parted.result == RunResult.from_dict(finished)


def test_a_stop_at_a_members_end_begins_no_other(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while the first member is tested, too late to stop that one."""
    test = single_module._test

    def stopped_while_testing(*own: Any) -> TrainResult | None:
        signal.raise_signal(signal.SIGINT)
        return test(*own)

    with monkeypatch.context() as patch:
        patch.setattr(single_module, "_test", stopped_while_testing)
        with pytest.raises(Interrupted) as stop:
            train(replace(request_, name="e"), Reporter())
    assert stop.value.message == "member 1: Interrupted at its end; it is complete."
    assert "Resume with: mnistctl train --resume e" in stop.value.hint
    members = sorted(path.name for path in (request_.store / "e" / "members").iterdir())
    assert members == ["seed-3"]
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    assert len(trained(again).result.members) == 2


def test_another_precision_is_that_of_members_begun_before(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(replace(request_, name="e"))
    asked: list[str | None] = []
    monkeypatch.setattr(
        ensemble_module, "train_one", lambda own, *rest: asked.append(own.precision)
    )
    monkeypatch.setattr(ensemble_module, "_assemble", lambda *own: None)
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e", epochs=2)
    train(replace(again, precision="bf16"), Reporter())
    assert asked == ["bf16", "bf16"]


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, Interrupted), (signal.SIGTERM, Terminated)]
)
def test_a_stop_between_members_says_how_to_go_on(
    request_: TrainRequest,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    error: type[MnistctlError],
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(ensemble_module, "_assemble", lambda *parts: signal.raise_signal(number))
        with pytest.raises(error) as stop:
            train(replace(request_, name="e"), Reporter())
    assert "train --resume e --store" in stop.value.hint
    assert signal.getsignal(signal.SIGTERM) is before
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    assert len(trained(again).result.members) == 2


def test_a_lack_of_memory_says_how_to_go_on_with_the_ensemble(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(loop, "batch_loss", failing)
    with pytest.raises(LackOfMemory, match="member 1: cpu is out of memory with") as error:
        train(replace(request_, name="e"), Reporter())
    assert "train --resume e --store" in error.value.hint


def test_an_extended_ensemble_is_warned_of_once(request_: TrainRequest) -> None:
    trained(replace(request_, name="e", settings=("schedule=one-cycle",)))
    said: list[str] = []

    class Warned(Reporter):
        def warn(self, text: str) -> None:
            said.append(text)

    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e", epochs=2)
    train(again, Warned())
    assert [text.partition(" (")[2] for text in said] == [
        "learning rate); a run of that length from the start would differ"
    ]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_damaged_member_resumes_from_its_previous_checkpoint(request_: TrainRequest) -> None:
    first = trained(replace(request_, epochs=2, name="e"))
    before = weights_at(first.checkpoint)
    first.checkpoint.unlink()
    member = first.directory / "members" / "seed-4"
    flip(member / "last.pt")
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    after = trained(again)
    assert same_bits(weights_at(after.checkpoint), before)
    assert after.result.test == first.result.test
    for name in ("last.pt", "previous.pt"):
        flip(member / name)
    first.checkpoint.unlink()
    with pytest.raises(CheckpointError, match="a member can't be resumed") as lost:
        trained(again)
    assert f"remove {member}" in lost.value.hint


def test_a_damaged_ensemble_is_assembled_again(request_: TrainRequest) -> None:
    first = trained(replace(request_, name="e"))
    before = weights_at(first.checkpoint)
    flip(first.checkpoint)
    with pytest.raises(CheckpointError, match="damaged") as caught:
        resolve("e", request_.store)
    assert "assemble it again: mnistctl train --resume e --store" in caught.value.hint
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    assert trained(again).result.test == first.result.test
    assert same_bits(weights_at(first.checkpoint), before)


def test_an_ensemble_in_training_is_waited_for(request_: TrainRequest) -> None:
    trained(replace(request_, name="e")).checkpoint.unlink()
    with locked(request_.store / "e") as free:
        assert free
        with pytest.raises(CheckpointError) as caught:
            resolve("e", request_.store)
    assert caught.value.hint == "they are being trained: wait for the end"


def test_results_of_a_shorter_training_do_not_count(request_: TrainRequest) -> None:
    ensemble = trained(replace(request_, name="e")).result
    member = describe(request_.store / "e" / "members" / "seed-3")
    config = member.config
    assert config is not None
    result = final_result(member, config)
    assert result is not None
    assert result.test.accuracy == ensemble.members[0].accuracy
    longer = replace(config, recipe=replace(config.recipe, epochs=2))
    assert final_result(member, longer) is None


def test_on_several_cards_each_process_resumes_on_its_own(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No card is needed: what is checked is which one the second process asks for."""
    directory = trained(replace(request_, name="e")).directory
    (directory / "last.pt").unlink()
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"device": "cuda:0"}))
    asked: list[tuple[str | None, str | None]] = []

    def remember(
        request: TrainRequest, run: object, ranks: object, reporter: object, config: RunConfig
    ) -> None:
        asked.append((request.device, config.device))

    monkeypatch.setattr(device_module, "known_devices", lambda: ["cpu", "cuda:0", "cuda:1"])
    monkeypatch.setattr(device_module, "_why_unsuited", lambda name: None)
    monkeypatch.setattr(device_module, "_why_failing", lambda name: None)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    ranks = Ranks(rank=1, world_size=2, local_rank=1, local_world_size=2)
    monkeypatch.setattr(run_module, "from_environment", lambda: ranks)
    monkeypatch.setattr(ensemble_module, "joined", lambda *own: contextlib.nullcontext())
    monkeypatch.setattr(ensemble_module, "train_one", remember)
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    assert train(again, Reporter()) is None
    assert asked == [("cuda:1", "cuda:1")]
    written = json.loads((directory / "config.json").read_text())
    assert written["device"] == "cuda:0"  # rank 0 alone writes in the ensemble's directory


def test_members_begun_later_follow_the_runs_recipe(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(replace(request_, name="e"))
    before = weights_at(whole.checkpoint)
    whole.checkpoint.unlink()
    shutil.rmtree(request_.store / "e" / "members" / "seed-4")
    monkeypatch.setitem(RECIPES, "mlp", replace(RECIPES["mlp"], label_smoothing=0.3))
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    trained(again)
    assert same_bits(weights_at(whole.checkpoint), before)


def test_a_damaged_configuration_does_not_hide_the_weights(request_: TrainRequest) -> None:
    trained(replace(request_, name="e"))
    (request_.store / "e" / "config.json").write_text("{")
    assert resolve("e", request_.store).label == "run e, 2 members"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ensemble": 0}, "--ensemble 0: must be between 1 and 100"),
        ({"validation": 100}, "leave out --validation"),
        ({"seed": (1 << 63) - 1}, "--seed"),
    ],
)
def test_what_makes_no_ensemble(
    request_: TrainRequest, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(replace(request_, **change), Reporter())
    assert not request_.store.exists()
