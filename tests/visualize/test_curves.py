"""`curves`: each line is named, and drawn through its points."""

from dataclasses import replace
from pathlib import Path

from drawn import console_of, screen_of
from results_made import run
from runs_made import CONFIG, RESULT

from mnistctl.store.metrics import MetricsLog
from mnistctl.store.result import ValidationScore
from mnistctl.store.runs import BEST_NAME, CONFIG_NAME, RESULT_NAME, write_json
from mnistctl.text import percent
from mnistctl.visualize.curves import CurvesView, logged_curves


def test_points_of_a_run_are_where_its_epochs_are(tmp_path: Path) -> None:
    """100 steps an epoch, as 10,000 images are held out; the first of two epochs was kept."""
    recipe = replace(CONFIG.recipe, epochs=2, batch_size=500)
    config = replace(CONFIG, recipe=recipe, validation=10_000, test_every_epoch=True)
    kept = ValidationScore(loss=0.1, accuracy=0.95, total=10_000, epoch=1)
    result = replace(RESULT, epochs=2, checkpoint=BEST_NAME, validation=kept)
    write_json(tmp_path, CONFIG_NAME, config.to_dict())
    write_json(tmp_path, RESULT_NAME, result.to_dict())
    log = MetricsLog(tmp_path, 1, 0)
    for epoch, validation, test in ((1, 0.95, 0.7), (2, 0.94, 0.8)):
        log.append({"epoch": epoch, "step": 50, "steps": 100, "loss": 2.0 / epoch})
        measured = {"validation_accuracy": validation, "test_accuracy": test}
        log.append({"epoch": epoch, "train_loss": 1.5 / epoch} | measured)
    log.close()
    (curves,) = logged_curves([tmp_path]).runs
    assert curves.batch_loss == [(0.5, 2.0), (1.5, 1.0)]
    assert curves.epoch_loss == [(1.0, 1.5), (2.0, 0.75)]
    assert curves.validation_accuracy == [(1.0, 0.95), (2.0, 0.94)]
    assert curves.test_accuracy == [(1.0, RESULT.test.accuracy), (2.0, 0.8)]
    assert curves.progress == f"finished, test {percent(RESULT.test.accuracy)}"
    assert [name for name, _ in curves.accuracies] == ["validation", "test"]


def test_lines_are_named_and_where_their_points_are() -> None:
    own = run("standard-1")
    loss, accuracy = CurvesView([own]).figure().axes
    named = [own.get_text() for axes in (loss, accuracy) for own in axes.get_legend().get_texts()]
    parts = ("batch loss", "mean of epoch", "validation", "test")
    assert named == [f"standard-1: {part}" for part in parts]
    batch, epoch = loss.lines
    assert list(batch.get_xydata()[0]) == [1 / 12, 2.0]
    assert list(epoch.get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert list(accuracy.lines[1].get_xydata()[0]) == [6.0, 99.0]
    assert [axes.get_ylabel() for axes in (loss, accuracy)] == ["loss", "accuracy, %"]


def test_each_run_has_a_colour() -> None:
    loss = CurvesView([run("a"), run("b")]).figure().axes[0]
    one, _, other, _ = (line.get_color() for line in loss.lines)
    assert one != other


def test_accuracy_measured_once_is_told_and_not_drawn() -> None:
    view = CurvesView([run("fast-1", 1)])
    assert len(view.figure().axes) == 1
    console = console_of(80, colours=False)
    screen = screen_of(view.panel(console), console)
    assert "fast-1, test accuracy 99.00 %" in screen
    assert "accuracy, %" not in screen


def test_a_test_without_validation_keeps_its_dashes() -> None:
    tested = replace(run("a"), validation_accuracy=[], test_accuracy=[(1.0, 0.9), (2.0, 0.95)])
    (line,) = CurvesView([tested]).figure().axes[1].lines
    assert line.get_linestyle() == "--"
    assert line.get_label() == "a: test"


def test_title_says_how_far_the_runs_are() -> None:
    stopped = replace(run("b"), state="interrupted", epochs=9)
    view = CurvesView([run("a"), stopped])
    assert view.title == "curves of a (finished, test 99.00 %), b (interrupted, epoch 6 of 9)"


def test_nothing_logged_yet_draws_nothing() -> None:
    empty = replace(
        run("a"), batch_loss=[], epoch_loss=[], validation_accuracy=[], test_accuracy=[]
    )
    console = console_of(80)
    assert screen_of(CurvesView([empty]).panel(console), console).strip() == ""
