"""Answers of ONNX files where there is no torch: `python onnx_alone.py DIRECTORY`.

Needs numpy and onnxruntime only. DIRECTORY holds NAME.onnx and NAME.npz for each model: `pixels`
and the `probabilities` expected of them. Prints a JSON object: by name the number of images, the
largest difference of a probability and the number of changed answers.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

assert importlib.util.find_spec("torch") is None
found = {}
for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
    wanted = np.load(path.with_suffix(".npz"))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    parts = [
        wanted["pixels"][first : first + 500] for first in range(0, len(wanted["pixels"]), 500)
    ]
    answers = [session.run(["probabilities"], {"pixels": part})[0] for part in parts]
    probabilities, expected = np.concatenate(answers), wanted["probabilities"]
    found[path.stem] = {
        "images": len(expected),
        "max_difference": float(abs(probabilities - expected).max()),
        "changed": int((probabilities.argmax(1) != expected.argmax(1)).sum()),
    }
print(json.dumps(found))
