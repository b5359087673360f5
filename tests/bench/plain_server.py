"""What one writes first: FastAPI, Pillow and torch, on the same network."""

import io
import socket
from pathlib import Path

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

from mnistctl.device import keep_freed_memory
from mnistctl.engine.inference.loading import load_model
from mnistctl.events import Reporter

app = FastAPI()
predictor = load_model("shipped", Path("runs"), "cpu", "fp32", Reporter()).predictor


@app.post("/api/predict")
async def predict(image: UploadFile) -> dict[str, object]:
    """Decoded, scaled to 28x28 and asked."""
    picture = Image.open(io.BytesIO(await image.read())).convert("L").resize((28, 28))
    pixels = torch.from_numpy(np.array(picture)).float()[None, None] / 255
    with torch.no_grad():
        probabilities = predictor.network(pixels).softmax(1)[0]
    return {"digit": int(probabilities.argmax()), "probabilities": probabilities.tolist()}


if __name__ == "__main__":
    keep_freed_memory()
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="error", access_log=False)
    uvicorn.Server(config).run([listener])
