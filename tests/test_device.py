"""Which device is chosen, and why another one can't be."""

import pytest
import torch

from mnistctl.device import available_devices, choose_device, has_code_for, why_unusable
from mnistctl.errors import DeviceError, UsageError


def see_gpus(monkeypatch: pytest.MonkeyPatch, *generations: tuple[int, int]) -> None:
    """Make torch see GPUs of these generations, with code for sm_80 and sm_90 alone."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(generations))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(generations))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: generations[index])
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("generation", "architectures", "runs"),
    [
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_80"], False),
        ((9, 0), ["sm_80", "compute_80"], True),
        ((12, 0), ["sm_90a", "sm_120"], True),
        ((6, 1), ["sm_75", "compute_75"], False),
    ],
)
def test_code_for_a_generation(
    generation: tuple[int, int], architectures: list[str], runs: bool
) -> None:
    assert has_code_for(generation, architectures) == runs


def test_auto_passes_over_a_gpu_without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    see_gpus(monkeypatch, (6, 1), (8, 6))
    assert available_devices() == ["cpu", "cuda:1"]
    assert choose_device("auto").value == "cuda:1"
    assert why_unusable("cuda:0") == "this torch has no code for its generation, sm_61"
    with pytest.raises(DeviceError, match="sm_61"):
        choose_device("cuda:0")


def test_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    see_gpus(monkeypatch, (8, 0))
    assert why_unusable("cuda:3") == "the last GPU is cuda:0"
    see_gpus(monkeypatch)
    with pytest.raises(DeviceError, match="no NVIDIA GPU or driver; nvidia-smi") as error:
        choose_device("cuda")
    assert error.value.hint == "available: cpu; --device auto chooses"
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None, raising=False)
    assert why_unusable("cuda") == "this torch was built without CUDA"
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)
    assert why_unusable("mps") == "this torch was built without MPS"


def test_gpu_means_cuda() -> None:
    with pytest.raises(UsageError, match="did you mean 'cuda'"):
        choose_device("gpu")
