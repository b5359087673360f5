"""`mnistctl runs`: what it lists, shows, compares and removes."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs_made import CONFIG, finish, save_run, saved
from typer.testing import CliRunner

from mnistctl.cli.app import app
from mnistctl.cli.runs import repeat_command
from mnistctl.distributed import Ranks
from mnistctl.engine.training.config import TrainRequest, new_config
from mnistctl.events import Reporter
from mnistctl.recipes import RECIPES, with_settings
from mnistctl.store.checkpoint import save
from mnistctl.store.config import RunConfig
from mnistctl.store.lock import locked
from mnistctl.store.runs import CONFIG_NAME, LAST_NAME, write_json

LIST_KEYS = {
    *("run", "state", "recipe", "dataset", "seed", "epochs", "accuracy"),
    *("validation_accuracy", "train_seconds", "started"),
}
STORE = Path("runs")


@pytest.fixture(autouse=True)
def _two_runs() -> None:
    """`done`, finished, and the newer `stopped`, interrupted with another seed."""
    STORE.mkdir()
    finish(save_run(STORE / "done"), validation=0.95)
    save_run(STORE / "stopped")
    config = replace(CONFIG, seed=7)
    write_json(STORE / "stopped", CONFIG_NAME, config.to_dict())
    save(STORE / "stopped" / LAST_NAME, saved(config=config))


def run(*words: str, code: int = 0, answer: str | None = None) -> Any:
    result = CliRunner().invoke(app, ["runs", *words], input=answer)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_list_is_newest_first() -> None:
    rows = json.loads(run("--json").stdout)["runs"]
    assert [(row["run"], row["state"]) for row in rows] == [
        ("stopped", "interrupted"),
        ("done", "finished"),
    ]
    assert rows[0].keys() >= LIST_KEYS
    done = {key: rows[1][key] for key in ("accuracy", "validation_accuracy", "train_seconds")}
    assert done == {"accuracy": 0.9, "validation_accuracy": 0.95, "train_seconds": 1.0}
    assert rows[0]["accuracy"] is None


def test_list_for_people() -> None:
    lines = run().stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "stopped", "done"]
    assert lines[1].split()[1:6] == ["interrupted", "mlp", "mnist", "7", "0/15"]
    assert lines[2].split()[1:11] == [
        *("finished", "mlp", "mnist", "0", "15", "90.00", "%", "95.00", "%", "1")
    ]
    assert lines == [line.rstrip() for line in lines]
    assert run("--quiet").stdout == "stopped\ndone\n"
    assert run("--store", "none").stdout == "No runs in none. Train one: mnistctl train\n"


def test_a_run_is_running_while_its_lock_is_held() -> None:
    with locked(STORE / "stopped"):
        assert json.loads(run("--json").stdout)["runs"][0]["state"] == "running"


def test_a_damaged_checkpoint_is_told() -> None:
    raw = (STORE / "done" / LAST_NAME).read_bytes()
    (STORE / "done" / LAST_NAME).write_bytes(raw[:500] + b"\xff" + raw[501:])
    rows = {row["run"]: row for row in json.loads(run("--json").stdout)["runs"]}
    assert (rows["done"]["state"], rows["done"]["accuracy"]) == ("damaged", None)


def test_a_run_being_extended_has_no_result_yet() -> None:
    """That of its shorter training is not the one that its epochs promise."""
    longer = replace(CONFIG, recipe=replace(CONFIG.recipe, epochs=20))
    write_json(STORE / "done", CONFIG_NAME, longer.to_dict())
    rows = {row["run"]: row for row in json.loads(run("--json").stdout)["runs"]}
    assert (rows["done"]["state"], rows["done"]["epochs"]) == ("interrupted", 20)
    for key in ("accuracy", "validation_accuracy", "train_seconds"):
        assert rows["done"][key] is None


def test_show() -> None:
    document = json.loads(run("show", "don", "--json").stdout)
    assert document["settings"] == RECIPES["mlp"].to_dict()
    assert document["command"] == "mnistctl train --recipe mlp --device cpu --precision fp32"
    assert document["test"] == {"loss": 0.1, "accuracy": 0.9, "correct": 9, "total": 10}
    assert document.keys() >= LIST_KEYS
    text = run("show", "done").stdout
    assert "Test        accuracy 90.00 % (9/10), loss 0.1000\n" in text
    assert text.endswith(f"Repeat with: {document['command']}\n")
    assert json.loads(run("show", "--json").stdout)["run"] == "stopped"


def test_the_repeated_command_has_all_that_was_set() -> None:
    recipe = with_settings(
        RECIPES["standard"], ["augmentation.rotate=15", "learning_rate=0.0123456789", "epochs=3"]
    )
    config = replace(CONFIG, recipe=recipe, dataset="synthetic", seed=3, world_size=2)
    assert repeat_command(config) == (
        "torchrun --standalone --nproc-per-node=2 -m mnistctl train --recipe standard --epochs 3"
        " --lr 0.0123456789 --set augmentation.rotate=15 --dataset synthetic --seed 3"
        " --device cpu --precision fp32"
    )


@pytest.mark.parametrize(
    "typed",
    [
        "--recipe mlp --seed 5 --validation 9",
        "--recipe robust --dataset fashion --set augmentation.flip=0.25",
        "--init shipped --dataset fashion --epochs 2",
        "--init shipped --ensemble 2",
        "--recipe cnn-small --lr 0.01 --batch-size 32 --set betas=0.5,0.75",
    ],
)
def test_the_repeated_command_trains_the_same(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def config_of(line: str) -> RunConfig:
        asked: list[TrainRequest] = []
        where = "mnistctl.engine.training.run.train"
        monkeypatch.setattr(where, lambda request, reporter: asked.append(request))
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, result.stderr
        config = new_config(asked[0], Ranks(), Reporter())
        return replace(config, command="", started="", precision="fp32")

    first = config_of(f"mnistctl train {typed}")
    assert config_of(repeat_command(first)) == first


def test_the_store_is_the_options_else_the_environments_else_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for store in ("meant", "named"):
        Path(store).mkdir()
        save_run(Path(store) / f"of-{store}")
    monkeypatch.setenv("MNISTCTL_STORE", "meant")
    assert run("--quiet").stdout == "of-meant\n"
    assert run("--quiet", "--store", "named").stdout == "of-named\n"
    monkeypatch.delenv("MNISTCTL_STORE")
    assert run("--quiet").stdout == "stopped\ndone\n"


def test_diff_is_what_differs() -> None:
    document = json.loads(run("diff", "done", "stopped", "--json").stdout)
    assert (document["a"], document["b"]) == ("done", "stopped")
    assert document["settings"] == {"seed": [0, 7]}
    assert document["results"]["state"] == ["finished", "interrupted"]
    assert document["results"]["accuracy"] == [0.9, None]
    text = run("diff", "done", "stopped").stdout
    assert "seed" in text
    assert "recipe" not in text
    assert run("diff", "done", "done").stdout == "No difference in settings or results\n"
    three = json.loads(run("diff", "done", "stopped", "done", "--json").stdout)
    assert three["settings"] == {"seed": [0, 7, 0]}
    assert "two runs or more" in run("diff", "done", code=2).stderr


def test_rm() -> None:
    assert json.loads(run("rm", "done", "--yes", "--json").stdout) == {"removed": ["runs/done"]}
    twice = run("rm", "runs/stopped", "stopped/", "--yes")
    assert twice.stdout.startswith("Removed 1 run (runs/stopped; ")
    assert list(STORE.iterdir()) == []


def test_rm_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "add --yes" in run("rm", "done", code=2).stderr
    monkeypatch.setattr("mnistctl.cli.runs.is_terminal", lambda stream: stream is sys.stdin)
    assert "nothing was removed" in run("rm", "done", code=1, answer="n\n").stderr
    assert (STORE / "done").exists()
    run("rm", "done", answer="y\n")
    assert not (STORE / "done").exists()


def test_rm_takes_a_directory_for_what_it_is() -> None:
    """Not for the store's run of that name."""
    Path("backup").mkdir()
    save_run(Path("backup/done"))
    os.chdir("backup")
    store = ("--store", "../runs")
    assert run("rm", "./done", "--yes", *store).stdout.startswith("Removed 1 run (done; ")
    assert not Path("done").exists()
    save_run(Path("done"))
    assert run("rm", "done", "--yes", *store).stdout.startswith("Removed 1 run (../runs/done; ")
    assert Path("done").exists()


def test_rm_takes_what_a_file_manager_left() -> None:
    (STORE / "done" / ".DS_Store").touch()
    run("rm", "done", "--yes")
    assert not (STORE / "done").exists()


def test_a_run_whose_tested_network_is_lost_is_damaged_everywhere() -> None:
    (STORE / "done" / "best.pt").unlink()
    row = json.loads(run("--json").stdout)["runs"][1]
    assert (row["run"], row["state"], row["accuracy"]) == ("done", "damaged", None)
    shown = json.loads(run("show", "done", "--json").stdout)
    assert shown["state"] == "damaged"
    assert "test" not in shown
    lines = run("show", "done").stdout.splitlines()
    assert "State       damaged" in lines
    assert "Problem     its best.pt is missing or damaged" in lines
    assert "Mend with: mnistctl train --resume done" in lines
    results = json.loads(run("diff", "done", "stopped", "--json").stdout)["results"]
    assert results == {"state": ["damaged", "interrupted"]}
    evaluated = CliRunner().invoke(app, ["evaluate", "done", "--dataset", "synthetic"])
    assert evaluated.stderr.splitlines()[-2:] == [
        "error: runs/done/best.pt does not exist",
        "  mend it: mnistctl train --resume done",
    ]


def test_a_run_of_which_nothing_is_left_is_not_to_be_resumed() -> None:
    (STORE / "stopped" / LAST_NAME).write_bytes(b"nothing")
    shown = run("show", "stopped").stdout
    assert "start it anew under another --name" in shown
    assert "--resume" not in shown


def test_a_run_whose_configuration_is_lost_says_how_to_mend_it() -> None:
    (STORE / "done" / CONFIG_NAME).unlink()
    lines = run("show", "done").stdout.splitlines()
    assert "Problem     its config.json is missing or damaged" in lines
    assert "Mend with: mnistctl train --resume done" in lines


def test_long_paths_stay_whole_in_a_pipe() -> None:
    deep = Path("a" * 60, "b" * 60)
    deep.mkdir(parents=True)
    save_run(deep / "far")
    assert (
        f"Directory   {deep / 'far'}"
        in run("show", "far", "--store", str(deep)).stdout.splitlines()
    )


REFUSED = {
    "dome": "did you mean 'done'?",
    "don": "no run called 'don'",
    "latest": "no run called 'latest'",
    "../runs/done": "no run called",
    ".": "no run called",
    "": "can't name",
}


@pytest.mark.parametrize("name", REFUSED)
def test_rm_takes_full_names_only(name: str) -> None:
    assert REFUSED[name] in run("rm", "stopped", name, "--yes", code=1).stderr
    assert {entry.name for entry in STORE.iterdir()} == {"done", "stopped"}


def test_a_listing_and_a_removal_import_no_torch() -> None:
    for words in (("runs",), ("runs", "show", "done"), ("runs", "rm", "done", "--yes")):
        code = (
            f"import sys; sys.argv = ['mnistctl', *{words}]\nfrom mnistctl.cli.app import main\n"
            "try:\n    main()\nfinally:\n    assert not {'torch', 'numpy'} & sys.modules.keys()"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_options_of_the_group_are_not_lost_in_front_of_a_subcommand() -> None:
    assert "goes after 'show'" in run("--store", "x", "show", "done", code=2).stderr
