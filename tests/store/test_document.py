"""What a checkpoint file holds, each thing once."""

from pathlib import Path

import pytest
import torch
from runs_made import CONFIG, document_at, saved, sealed

from mnistctl.errors import CheckpointError
from mnistctl.store import checkpoint


def test_a_recipe_is_stored_once(tmp_path: Path) -> None:
    """In the configuration; nothing else of the file could contradict it."""
    checkpoint.save(tmp_path / "x.pt", saved())
    document = torch.load(tmp_path / "x.pt", weights_only=True)
    assert document.keys() == document_at().keys()
    assert document["config"].pop("recipe") == CONFIG.recipe.to_dict()
    assert not {"recipe", "dataset", "classes"} & document.keys()


@pytest.mark.parametrize("key", ["config", "run", "metrics", "weights", "version"])
def test_contents_that_are_missing(key: str, tmp_path: Path) -> None:
    document = document_at()
    del document[key]
    (tmp_path / "x.pt").write_bytes(sealed(document))
    with pytest.raises(CheckpointError, match=r"x\.pt"):
        checkpoint.load(tmp_path / "x.pt")
