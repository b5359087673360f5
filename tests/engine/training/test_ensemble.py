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
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.evaluate import score
from mnistctl.engine.inference.loading import load_model
from mnistctl.engine.inference.predictor import compute_logits
from mnistctl.engine.training import ensemble as ensemble_module
from mnistctl.engine.training import run as train_module
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.ensemble import train_run
from mnistctl.engine.training.run import train
from mnistctl.errors import (
    CheckpointError,
    Interrupted,
    MnistctlError,
    Terminated,
    UsageError,
)
from mnistctl.events import NullReporter, StepReport
from mnistctl.models.ensemble import Ensemble
from mnistctl.models.registry import build
from mnistctl.recipes import RECIPES
from mnistctl.store import checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.lock import locked
from mnistctl.store.resolve import find
from mnistctl.store.rotation import epochs_saved
from mnistctl.store.runs import describe

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_module, "load_split", load_small_split)
    monkeypatch.setattr(ensemble_module, "load_split", load_small_split)


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


def test_members_are_the_runs_of_their_seeds(request_: TrainRequest) -> None:
    document = train_run(request_, NullReporter()).document
    assert [member["seed"] for member in document["members"]] == [3, 4]
    both = checkpoint.load(Path(document["checkpoint"]))["weights"]
    for index, seed in enumerate((3, 4)):
        alone = replace(request_, ensemble=None, seed=seed, name=f"alone-{seed}")
        own = checkpoint.load(Path(train(alone, NullReporter()).document["checkpoint"]))["weights"]
        assert all(torch.equal(both[f"members.{index}.{name}"], own[name]) for name in own)
    assert len(both) == 2 * len(own)


def test_answer_is_the_mean_of_the_members_probabilities(request_: TrainRequest) -> None:
    document = train_run(request_, NullReporter()).document
    loaded = load_model("mlp-1", request_.store, CPU, NullReporter())
    assert isinstance(loaded.model, Ensemble)
    images = load_small_split("mnist", "test", request_.data_dir, NullReporter())
    recipe = RECIPES["mlp"]

    def probabilities(model: nn.Module) -> torch.Tensor:
        return compute_logits(model, images.images, recipe, CPU, "fp32").softmax(1)

    mean = (probabilities(loaded.model.members[0]) + probabilities(loaded.model.members[1])) / 2
    assert torch.allclose(probabilities(loaded.model), mean, atol=1e-6)
    tested = score(loaded.model, images.images, images.labels, recipe, CPU, "fp32", Ranks())
    assert (
        document["test"]["correct"]
        == tested.correct
        == int((mean.argmax(1) == images.labels).sum())
    )


def test_a_stopped_ensemble_goes_on_to_the_same_bits(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_run(replace(request_, name="whole"), NullReporter()).document

    class Stopper(NullReporter):
        members = 0

        def say(self, text: str) -> None:
            self.members += text.startswith("Member")

        def step(self, report: StepReport) -> None:
            if self.members == 2 and report.step >= 20:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as stop:
        train_run(replace(request_, name="parted", log_every=5), Stopper())
    assert "member 2" in stop.value.message
    assert "train --resume parted --store" in stop.value.hint
    with pytest.raises(CheckpointError, match="not all trained"):
        find("parted", request_.store)
    assert epochs_saved(describe(request_.store / "parted")) == 0
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="parted")
    parted = train_run(again, NullReporter()).document
    ours, theirs = (checkpoint.load(Path(d["checkpoint"]))["weights"] for d in (parted, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert parted["test"] == whole["test"]
    assert epochs_saved(describe(request_.store / "parted")) == 1
    finished: dict[str, Any] = json.loads((request_.store / "parted" / "result.json").read_text())
    assert train_run(again, NullReporter()).document == finished


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
        patch.setattr(ensemble_module, "_combine", lambda *parts: signal.raise_signal(number))
        with pytest.raises(error) as stop:
            train_run(replace(request_, name="e"), NullReporter())
    assert "train --resume e --store" in stop.value.hint
    assert signal.getsignal(signal.SIGTERM) is before
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    assert len(train_run(again, NullReporter()).document["members"]) == 2


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_damaged_member_goes_on_from_its_previous_checkpoint(request_: TrainRequest) -> None:
    document = train_run(replace(request_, epochs=2, name="e"), NullReporter()).document
    directory = request_.store / "e"
    before = checkpoint.load(directory / "last.pt")["weights"]
    (directory / "last.pt").unlink()
    flip(directory / "members" / "seed-4" / "last.pt")
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    after = train_run(again, NullReporter()).document
    weights = checkpoint.load(directory / "last.pt")["weights"]
    assert all(torch.equal(weights[name], before[name]) for name in before)
    assert after["test"] == document["test"]
    for name in ("last.pt", "previous.pt"):
        flip(directory / "members" / "seed-4" / name)
    (directory / "last.pt").unlink()
    with pytest.raises(CheckpointError, match="a member can't go on") as lost:
        train_run(again, NullReporter())
    assert f"remove {directory / 'members' / 'seed-4'}" in lost.value.hint


def test_a_damaged_ensemble_is_put_together_again(request_: TrainRequest) -> None:
    document = train_run(replace(request_, name="e"), NullReporter()).document
    whole = request_.store / "e" / "last.pt"
    before = checkpoint.load(whole)["weights"]
    flip(whole)
    with pytest.raises(CheckpointError, match="damaged") as caught:
        find("e", request_.store)
    assert "put it together again: mnistctl train --resume e --store" in caught.value.hint
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    assert train_run(again, NullReporter()).document["test"] == document["test"]
    after = checkpoint.load(whole)["weights"]
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_an_ensemble_in_training_is_waited_for(request_: TrainRequest) -> None:
    train_run(replace(request_, name="e"), NullReporter())
    (request_.store / "e" / "last.pt").unlink()
    with locked(request_.store / "e") as free:
        assert free
        with pytest.raises(CheckpointError) as caught:
            find("e", request_.store)
    assert caught.value.hint == "they are being trained: wait for the end"


def test_results_of_a_shorter_training_do_not_count(request_: TrainRequest) -> None:
    document = train_run(replace(request_, name="e"), NullReporter()).document
    member = describe(request_.store / "e" / "members" / "seed-3")
    config = member.config
    assert config is not None
    result = train_module.final_document(member, config)
    assert result is not None
    assert result["test"] == document["members"][0]["test"]
    longer = replace(config, recipe=replace(config.recipe, epochs=2))
    assert train_module.final_document(member, longer) is None


def test_on_several_cards_each_process_resumes_on_its_own(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No card is needed: what is checked is which one the second process asks for."""
    train_run(replace(request_, name="e"), NullReporter())
    directory = request_.store / "e"
    (directory / "last.pt").unlink()
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"device": "cuda:0"}))
    asked: list[tuple[str | None, str | None]] = []

    def remember(request: TrainRequest, reporter: object, ranks: Ranks, config: RunConfig) -> None:
        asked.append((request.device, config.device))

    monkeypatch.setattr(device_module, "available_devices", lambda: ["cpu", "cuda:0", "cuda:1"])
    for name, stand_in in (
        ("from_environment", lambda: Ranks(rank=1, world_size=2, local_rank=1)),
        ("joined", lambda ranks, device: contextlib.nullcontext()),
        ("torch_device", lambda name: CPU),
        ("train", remember),
    ):
        monkeypatch.setattr(ensemble_module, name, stand_in)
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    train_run(again, NullReporter())
    assert asked == [("cuda", "cuda:1")]
    written = json.loads((directory / "config.json").read_text())
    assert written["device"] == "cuda:0"  # rank 0 alone writes in the ensemble's directory


def test_members_begun_later_follow_the_runs_recipe(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_run(replace(request_, name="e"), NullReporter()).document
    before = checkpoint.load(Path(whole["checkpoint"]))["weights"]
    (request_.store / "e" / "last.pt").unlink()
    shutil.rmtree(request_.store / "e" / "members" / "seed-4")
    monkeypatch.setitem(RECIPES, "mlp", replace(RECIPES["mlp"], label_smoothing=0.3))
    again = TrainRequest(store=request_.store, data_dir=request_.data_dir, resume="e")
    train_run(again, NullReporter())
    after = checkpoint.load(Path(whole["checkpoint"]))["weights"]
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_damaged_configuration_does_not_hide_the_weights(request_: TrainRequest) -> None:
    train_run(replace(request_, name="e"), NullReporter())
    (request_.store / "e" / "config.json").write_text("{")
    assert find("e", request_.store).label == "run e, 2 members"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ensemble": 0}, "--ensemble 0"),
        ({"validation": 100}, "leave out --validation"),
        ({"seed": (1 << 63) - 1}, "--seed"),
    ],
)
def test_what_makes_no_ensemble(
    request_: TrainRequest, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train_run(replace(request_, **change), NullReporter())
    assert not request_.store.exists()


@pytest.mark.parametrize("members", ["abc", None, 10**9, 3])
def test_a_bare_state_dicts_members_mean_nothing(members: Any, tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.save({"state_dict": build("mlp").state_dict(), "members": members}, path)
    assert not isinstance(load_model(str(path), tmp_path, CPU, NullReporter()).model, Ensemble)


def test_weights_of_another_number_of_members_are_refused(request_: TrainRequest) -> None:
    document = train_run(request_, NullReporter()).document
    path = Path(document["checkpoint"])
    payload = checkpoint.load(path)
    for header in ("format", "version"):
        payload.pop(header)
    checkpoint.save(path, payload | {"members": 3})
    with pytest.raises(CheckpointError, match="don't fit"):
        load_model(str(path), request_.store, CPU, NullReporter())
