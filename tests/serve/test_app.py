"""The interface for programs: the answers of `predict`, errors, and who may ask."""

import asyncio
import io
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from runs_made import CONFIG, finish, save_run
from typer.testing import CliRunner

import mnistctl
from mnistctl.cli.app import app as cli
from mnistctl.cli.help import page
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.onnx_model import Description
from mnistctl.events import Reporter
from mnistctl.export.onnx import onnx_bytes
from mnistctl.imaging.files import read_image
from mnistctl.imaging.prepare import Prepared, prepare
from mnistctl.models.registry import expected_shapes
from mnistctl.recipes import RECIPES
from mnistctl.serve import guard
from mnistctl.serve.app import create_app
from mnistctl.serve.collection import Collection
from mnistctl.serve.guard import LOOPBACK, Guard
from mnistctl.serve.networks import Asker, Networks
from mnistctl.store.checkpoint import Checkpoint
from mnistctl.store.rotation import save_last
from mnistctl.store.runs import CONFIG_NAME, write_json

HOST = "http://127.0.0.1:8000"


def drawing(*strokes: list[tuple[int, int]], size: tuple[int, int] = (280, 280)) -> bytes:
    image = Image.new("L", size, 255)
    for stroke in strokes:
        ImageDraw.Draw(image).line(stroke, fill=0, width=18, joint="curve")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class Client:
    """Asks an application as a program does, without a network."""

    def __init__(self, app: Any, url: str = HOST) -> None:
        self.app, self.url, self.cookies = app, url, httpx.Cookies()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url=self.url, cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, **options)
                self.cookies = client.cookies
                return answer

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)


SEVEN = [(80, 60), (200, 60), (120, 230)]
ONE = [(250, 60), (250, 230)]


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", (f"{number}.png", content)) for number, content in enumerate(contents)]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return Networks(None, tmp_path_factory.mktemp("store"), "cpu", None, Reporter())


@pytest.fixture
def client(networks: Networks, tmp_path: Path) -> Client:
    return Client(Guard(create_app(networks, Collection(tmp_path / "own")), LOOPBACK, None))


def test_it_answers_as_predict_does(client: Client, tmp_path: Path) -> None:
    Path("0.png").write_bytes(drawing(SEVEN))
    Path("1.png").write_bytes(drawing())
    done = CliRunner().invoke(
        cli, ["predict", "--json", "--device", "cpu", "0.png", "1.png", "--store", str(tmp_path)]
    )
    expected = json.loads(done.stdout)
    answer = client.post("/api/predict", files=files(drawing(SEVEN), drawing()))
    assert answer.status_code == 200
    found = answer.json()
    assert found.keys() == expected.keys()
    assert found["checkpoint"] == "shipped"
    assert found["classes"] == expected["classes"]
    for own, theirs in zip(found["predictions"], expected["predictions"], strict=True):
        assert own.keys() == theirs.keys()
        assert own.pop("probabilities") == pytest.approx(theirs.pop("probabilities"), abs=1e-5)
        for name in ("confidence", "outlier_probability"):
            assert own.pop(name) == pytest.approx(theirs.pop(name), abs=1e-5)
        assert own == theirs
    assert [own["digit"] for own in found["predictions"]] == [7, None]


def test_answers_do_not_depend_on_what_is_asked_at_the_same_time(networks: Networks) -> None:
    """Pictures that wait are answered as one batch: each gets its own answer."""
    contents = [drawing(SEVEN), drawing([(140, 50), (140, 230)]), drawing()]

    async def ask_all() -> list[dict[str, Any]]:
        transport = httpx.ASGITransport(Guard(create_app(networks, None), LOOPBACK, None))
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            answers = [
                client.post("/api/predict", files=files(content)) for content in contents * 8
            ]
            return [answer.json() for answer in await asyncio.gather(*answers)]

    digits = [own["predictions"][0]["digit"] for own in asyncio.run(ask_all())]
    assert digits == [7, 1, None] * 8


def test_several_digits_and_the_networks_input(client: Client) -> None:
    both = drawing(SEVEN, ONE, size=(320, 280))
    answer = client.post("/api/predict?multi=true&input=true", files=files(both)).json()
    assert [own["digit"] for own in answer["predictions"]] == [7, 1]
    pixels = np.array(answer["predictions"][1]["input"])
    assert pixels.shape == (28, 28)
    assert pixels.max() == 255


def test_an_unreadable_picture_is_no_end_of_the_others(client: Client) -> None:
    answer = client.post("/api/predict", files=files(b"no picture", drawing(SEVEN))).json()
    assert answer["predictions"][0]["image"] == "1.png"
    assert answer["errors"] == [
        {"image": "0.png", "error": "can't read 0.png as an image: its image format is not known"}
    ]


def test_explain_adds_up_and_shows_each_layer(client: Client) -> None:
    answer = client.post("/api/explain", files=files(drawing(SEVEN))).json()
    assert answer["class_name"] == answer["prediction"]["class_name"] == "7"
    total = np.array(answer["attribution"]).sum()
    difference = answer["score"] - answer["baseline_score"]
    assert total == pytest.approx(difference, rel=0.05)
    assert [step["name"] for step in answer["steps"]] == ["image", "ink", "strokes"]
    layers = [(own["name"], own["num_units"], len(own["pngs"])) for own in answer["layers"]]
    assert layers[0] == ("conv1", 16, 8)
    assert len(layers) == 7
    other = client.post("/api/explain?class_name=1", files=files(drawing(SEVEN))).json()
    assert other["class_name"] == "1"
    assert other["score"] < answer["score"]


@pytest.mark.parametrize("multi", [False, True])
def test_explain_shows_the_reading_that_is_answered_for(
    client: Client, monkeypatch: pytest.MonkeyPatch, multi: bool
) -> None:
    """With `multi` where no digit stands out, so that the whole picture is meant."""
    right = prepare(read_image(drawing(SEVEN)), keep_steps=True)
    wrong = replace(right, pixels=np.zeros_like(right.pixels), doubt="a blob, not strokes")
    whole = replace(wrong, others=(right,))
    monkeypatch.setattr("mnistctl.serve.explain.prepared_as", lambda *_, **__: whole)
    monkeypatch.setattr("mnistctl.serve.explain.prepare_digits", lambda *_: [whole])
    answer = client.post(f"/api/explain?multi={multi}", files=files(drawing(SEVEN))).json()
    assert answer["prediction"]["digit"] == 7
    assert answer["input"] == right.pixels.tolist()


def test_a_picture_without_a_digit_that_stands_out_is_collected_whole(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Prepared(np.zeros((28, 28), np.uint8), (0, 0, 9, 9))
    whole = replace(small, others=(small,))
    for found, size in ((small, (28, 28)), (whole, (280, 280))):
        monkeypatch.setattr("mnistctl.serve.app.prepare_digits", lambda *_, found=found: [found])
        saved = client.post(
            "/api/collected?multi=true&class_name=7", files=files(drawing(SEVEN))
        ).json()
        kept = client.get(f"/api/collected/7/{saved['name']}").content
        assert Image.open(io.BytesIO(kept)).size == size


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("post", "/api/predict", {"data": {"x": "1"}}, 415, "the body is not multipart/form-data"),
        ("post", "/api/predict", {"files": {"x": b"1"}}, 400, "no image in the form"),
        ("post", "/api/predict", {"files": files(b"")}, 422, "can't read 0.png: it is empty"),
        ("post", "/api/predict?invert=maybe", {"files": files(b"1")}, 422, "invert: "),
        ("post", "/api/predict?mutli=true", {"files": files(b"1")}, 422, "mutli: Extra inputs"),
        ("post", "/api/predict?checkpoint=%00", {"files": files(b"1")}, 404, "unknown checkpoi"),
        ("post", "/api/predict?checkpoint=..", {"files": files(b"1")}, 404, "unknown checkpoi"),
        ("post", "/api/predict?checkpoint=shiped", {"files": files(b"1")}, 404, "unknown checkpoi"),
        ("post", "/api/predict", {"files": files(*[b"1"] * 65)}, 422, "65 images at once"),
        ("post", "/api/explain?number=1", {"files": files(drawing(SEVEN))}, 422, "number 1: "),
        ("post", "/api/explain?class_name=x", {"files": files(drawing(SEVEN))}, 422, "unknown cl"),
        ("get", "/api/nothing", {}, 404, "Not Found"),
        ("get", "/docs", {}, 404, "Not Found"),
        ("get", "/api/collected/7/..%2f..%2fx.png", {}, 404, ""),
        ("get", "/api/predict", {}, 405, "Method Not Allowed"),
    ],
)
def test_errors_are_json_with_the_right_status(
    client: Client, method: str, path: str, body: dict[str, Any], status: int, error: str
) -> None:
    answer = client.request(method, path, **body)
    assert answer.status_code == status
    assert answer.json().keys() == {"error", "hint"}
    assert answer.json()["error"].startswith(error)


async def parts(content: bytes) -> AsyncIterator[bytes]:
    for first in range(0, len(content), 2**20):
        yield content[first : first + 2**20]


@pytest.mark.parametrize("chunked", [False, True])
def test_uploads_are_counted_as_they_arrive(client: Client, chunked: bool) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n\r\n'
    content: Any = head + b"x" * guard.MAX_UPLOAD
    if chunked:
        content = parts(content)
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/api/predict", content=content, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"] == "more than 20 MiB"


def test_more_than_64_waiting_are_turned_away(networks: Networks) -> None:
    async def ask_all() -> list[int]:
        transport = httpx.ASGITransport(Guard(create_app(networks, None), LOOPBACK, None))
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            asked = [client.post("/api/predict", files=files(drawing(SEVEN))) for _ in range(70)]
            answers = await asyncio.gather(*asked)
            later = await client.post("/api/predict", files=files(drawing(SEVEN)))
            return [answer.status_code for answer in (*answers, later)]

    *statuses, later = asyncio.run(ask_all())
    assert statuses.count(200) == 64
    assert statuses.count(503) == 6
    assert later == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8000"},
        {"host": "127.0.0.1.evil.example"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://[x"},
        {"origin": "http://127.0.0.1:9000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_elsewhere_can_neither_ask_nor_read(client: Client, headers: dict[str, str]) -> None:
    for answer in (
        client.post("/api/predict", files=files(drawing(SEVEN)), headers=headers),
        client.get("/api/models", headers=headers),
        client.delete("/api/collected/7/0000000000000000.png", headers=headers),
    ):
        assert answer.status_code == 403
        assert answer.json().keys() == {"error", "hint"}


def test_its_own_page_and_links_to_it_are_let_in(client: Client) -> None:
    own = {"origin": HOST, "sec-fetch-site": "same-origin"}
    assert client.get("/api/health", headers=own).json()["status"] == "ok"
    assert client.get("/", headers={"host": "localhost:8000"}).status_code == 200
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    page = client.get("/", headers=link)
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("http-equiv", "")
    assert client.get("/api/models", headers=link).status_code == 403


def test_a_token_is_needed_where_there_is_one(networks: Networks) -> None:
    app = Guard(create_app(networks, None), None, "secret")
    client = Client(app, "http://192.0.2.1:8000")
    assert client.get("/").status_code == 401
    assert client.get("/page.js").status_code == 401
    assert client.get("/?token=secre", follow_redirects=False).status_code == 401
    bearer = {"authorization": "Bearer secret"}
    assert client.get("/api/health", headers=bearer).status_code == 200
    first = client.get("/?token=secret", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert "HttpOnly" in first.headers["set-cookie"]
    assert client.get("/api/models").status_code == 200  # the cookie is kept
    cookie = f'prefs={{"a": 1}}; a b=é; {first.headers["set-cookie"].partition(";")[0]}'
    other = Client(app, "http://192.0.2.1:8000")  # with cookies of other programs on this host
    odd = {"cookie": cookie.encode()}
    assert other.get("/api/models", headers=odd).status_code == 200
    foreign = {"origin": "http://evil.example"}
    assert client.get("/api/models", headers=foreign).status_code == 403


def test_servers_on_two_ports_of_a_host_have_cookies_of_their_own(networks: Networks) -> None:
    cookies = httpx.Cookies()
    for port in (8000, 8001):
        app = Guard(create_app(networks, None), None, f"secret{port}")
        client = Client(app, f"http://192.0.2.1:{port}")
        client.cookies = cookies
        client.get(f"/?token=secret{port}", follow_redirects=False)
        cookies = client.cookies
    client = Client(Guard(create_app(networks, None), None, "secret8000"), "http://192.0.2.1:8000")
    client.cookies = cookies
    assert client.get("/api/models").status_code == 200


def test_the_openapi_description_names_the_routes(client: Client) -> None:
    described = client.get("/openapi.json").json()
    assert {"/api/predict", "/api/explain", "/api/models", "/api/health"} <= set(described["paths"])
    prediction = described["components"]["schemas"]["PredictionDocument"]["properties"]
    assert {"digit", "verdict", "probabilities"} <= set(prediction)


def test_networks_are_the_stores_runs_by_name(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    finish(save_run(store / "mine"))
    (store / "link").symlink_to(store / "mine")
    networks = Networks("shipped", store, "cpu", None, Reporter())
    client = Client(create_app(networks, None))
    models = client.get("/api/models").json()
    assert models["default"] == "shipped"
    assert [own["name"] for own in models["models"]] == ["shipped", "mine"]
    assert models["models"][1]["accuracy"] == 0.9
    assert all(own["classes"] == list("0123456789") for own in models["models"])
    for name in ("link", "../store/mine", str(store / "mine"), "min", "latest", ""):
        asked = {"checkpoint": name}
        answer = client.post("/api/predict", params=asked, files=files(drawing(SEVEN)))
        assert answer.status_code == 404, name


def save_constant(store: Path, name: str, digit: int) -> None:
    """A run whose network says `digit`, whatever it sees."""
    config = replace(CONFIG, recipe=RECIPES["mlp"])
    weights = {key: torch.zeros(own) for key, own in expected_shapes("mlp", 10).items()}
    weights["fc3.bias"][digit] = 20.0
    (store / name).mkdir(parents=True, exist_ok=True)
    write_json(store / name, CONFIG_NAME, config.to_dict())
    training = {"epochs_done": config.recipe.epochs, "step": 0}
    save_last(store / name, Checkpoint(weights, config, name, {}, training))
    finish(store / name)


def test_those_who_ask_different_networks_at_a_time_get_the_answers_of_each(
    tmp_path: Path,
) -> None:
    save_constant(tmp_path, "three", 3)
    save_constant(tmp_path, "five", 5)
    networks = Networks("shipped", tmp_path, "cpu", None, Reporter())
    prepared = Prepared(np.zeros((28, 28), np.uint8), (0, 0, 28, 28))
    names = ("three", "five") * 5

    async def ask_all() -> list[int | None]:
        """All wait before the first is answered."""
        with ThreadPoolExecutor(1) as thread:
            asker = Asker(thread)
            asked = (asker.predict(networks.get(own), [(0, own, prepared)], False) for own in names)
            return [found[0].digit for found in await asyncio.gather(*asked)]

    assert asyncio.run(ask_all()) == [3, 5] * 5


def test_a_run_that_was_extended_answers_with_its_new_weights(tmp_path: Path) -> None:
    save_constant(tmp_path, "mine", 3)
    networks = Networks("shipped", tmp_path, "cpu", None, Reporter())
    client = Client(create_app(networks, None))

    def digit() -> int:
        answer = client.post("/api/predict?checkpoint=mine", files=files(drawing(SEVEN)))
        return int(answer.json()["predictions"][0]["digit"])

    assert digit() == 3
    save_constant(tmp_path, "mine", 5)
    later = (tmp_path / "mine" / CONFIG_NAME).stat().st_mtime + 10
    os.utime(tmp_path / "mine" / CONFIG_NAME, (later, later))
    assert digit() == 5


def test_of_linear_layers_all_but_the_answers_are_shown(tmp_path: Path) -> None:
    save_constant(tmp_path, "mine", 3)
    client = Client(create_app(Networks("mine", tmp_path, "cpu", None, Reporter()), None))
    layers = client.post("/api/explain", files=files(drawing(SEVEN))).json()["layers"]
    assert [(own["name"], own["kind"], own["num_units"]) for own in layers] == [
        ("fc1", "linear", 128),
        ("fc2", "linear", 64),
    ]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("7", "7"),
        ("Ankle boot", "Ankle boot"),
        ("a/b", "a-b"),
        ("..", "-"),
        ("T-shirt/top", "T-shirt-top"),
    ],
)
def test_a_class_is_a_folder_within_the_collection(name: str, folder: str, tmp_path: Path) -> None:
    saved = Collection(tmp_path / "own").add(np.zeros((5, 5), np.uint8), name)
    assert saved.folder == folder
    assert saved.path.parent == tmp_path / "own" / folder
    assert saved.path.is_file()


def test_collected_pictures_are_saved_moved_listed_and_removed(
    client: Client, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    saved = client.post("/api/collected?class_name=7", files=files(drawing(SEVEN)))
    assert saved.status_code == 201
    name = saved.json()["name"]
    assert saved.json()["folder"] == "7"
    assert np.asarray(Image.open(own / "7" / name)).shape == (280, 280)
    client.post("/api/collected?class_name=1", files=files(drawing(SEVEN)))
    assert not (own / "7" / name).exists()  # a picture has one label, the latest
    (own / "1" / "holiday.png").write_bytes(b"not ours")
    (own / "1" / ("0" * 16 + ".png")).symlink_to(own / "1" / "holiday.png")
    listing = client.get("/api/collected").json()
    assert listing["counts"] == {"1": 1}
    assert listing["pictures"] == [{"folder": "1", "name": name}]
    picture = client.get(f"/api/collected/1/{name}")
    assert picture.headers["content-type"] == "image/png"
    assert client.delete("/api/collected/1/holiday.png").status_code == 404
    assert client.delete(f"/api/collected/1/{name}").status_code == 200
    assert sorted(path.name for path in (own / "1").iterdir()) == ["0" * 16 + ".png", "holiday.png"]
    unknown = client.post("/api/collected?class_name=..", files=files(drawing(SEVEN)))
    assert unknown.status_code == 422


def test_a_collected_picture_that_is_removed_meanwhile_is_not_found(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mnistctl.serve.app.Collection._find", lambda *_: tmp_path / "gone.png")
    answer = client.get(f"/api/collected/7/{'0' * 16}.png")
    assert (answer.status_code, answer.json()["error"]) == (404, "there is no such picture")


def test_an_upload_that_never_ends_is_given_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "UPLOAD_SECONDS", 0.05)

    async def endless() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await asyncio.sleep(60)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/api/predict", content=endless(), headers=headers)
    assert (answer.status_code, answer.json().keys()) == (408, {"error", "hint"})


def test_without_a_folder_nothing_can_be_saved(networks: Networks) -> None:
    client = Client(create_app(networks, None))
    answer = client.post("/api/collected?class_name=7", files=files(drawing(SEVEN)))
    assert answer.status_code == 404


def test_the_page_about_http_has_every_route(networks: Networks, tmp_path: Path) -> None:
    described = create_app(networks, Collection(tmp_path / "own")).openapi()["paths"]
    routes = {(method.upper(), path) for path, own in described.items() for method in own}
    documented = set()
    for cell in re.findall(r"^\| (`(?:GET|POST|DELETE).*?) \|", page("http"), re.M):
        words = re.findall(r"`([^`]+)`", cell)
        path = words[-1].split()[-1].replace("CLASS/NAME.png", "{folder}/{name}")
        documented |= {(word.split()[0], path) for word in words}
    assert documented == routes | {("GET", "/openapi.json")}


def test_where_train_and_test_are_apart_pictures_are_added_to_train(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
    saved = Collection(tmp_path).add(np.zeros((5, 5), np.uint8), "7")
    assert saved.path.parent == tmp_path / "train" / "7"


def test_a_default_network_that_was_trained_on_is_loaded_anew(
    tmp_path: Path, small_datasets: None
) -> None:
    store = tmp_path / "my store"
    options: dict[str, Any] = {"store": store, "device": "cpu", "epochs": 1}
    done = mnistctl.train("mlp", **options)
    networks = Networks(str(done.directory), store, "cpu", None, Reporter())
    first = networks.get(None)
    assert first is networks.get("mlp-1") is networks.default
    mnistctl.train(resume="mlp-1", **options | {"epochs": 2})
    again = networks.get(None)
    assert again is networks.get("mlp-1") is networks.default
    assert again is not first
    assert again.model.predictor.recipe.epochs == 2
    assert networks.train_command(Path("my digits")) == (
        f"mnistctl train --dataset 'my digits' --init mlp-1 --store '{store}'"
    )
    copy = tmp_path / "copy.pt"
    shutil.copy(done.checkpoint, copy)
    elsewhere = Networks(str(copy), store, "cpu", None, Reporter())
    assert elsewhere.train_command(Path("d")) == f"mnistctl train --dataset d --init {copy}"
    shipped = Networks("shipped", store, "cpu", None, Reporter())
    assert shipped.train_command(Path("d")) == "mnistctl train --dataset d --init shipped"
    shutil.rmtree(done.directory)
    assert networks.get(None) is again


def test_two_labels_at_once_leave_one_picture(tmp_path: Path) -> None:
    collection, pixels = Collection(tmp_path / "own"), np.zeros((5, 5), np.uint8)
    for _ in range(20):
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda name: collection.add(pixels, name), "71"))
        assert len(collection.pictures()) == 1


def test_one_of_several_digits_is_saved_as_the_network_saw_it(
    client: Client, tmp_path: Path
) -> None:
    both = files(drawing(SEVEN, ONE, size=(320, 280)))
    client.post("/api/collected?multi=true&number=1&class_name=1", files=both)
    (path,) = (tmp_path / "own" / "1").iterdir()
    assert np.asarray(Image.open(path)).shape == (28, 28)


def test_an_exported_network_answers_without_evidence(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    save_constant(tmp_path, "three", 3)
    predictor = load_model("three", tmp_path, "cpu", "fp32", Reporter()).predictor
    described = Description(predictor.recipe, predictor.classes, "mnist", 1)
    content, _ = onnx_bytes(predictor, described.to_metadata())
    (tmp_path / "three.onnx").write_bytes(content)
    path = str(tmp_path / "three.onnx")
    client = Client(create_app(Networks(path, tmp_path, None, None, Reporter()), None))
    seven = files(drawing(SEVEN))
    assert client.post("/api/predict", files=seven).json()["predictions"][0]["digit"] == 3
    answer = client.post("/api/explain", files=seven).json()
    assert (answer["attribution"], answer["layers"], len(answer["steps"])) == (None, [], 3)


def test_a_network_of_whole_pictures_finds_no_several(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoadedModel, "prepare", "resize")
    client = Client(create_app(networks, None))
    seven = files(drawing(SEVEN))
    answer = client.post("/api/predict?multi=true", files=seven)
    assert (answer.status_code, answer.json()["error"]) == (422, "shipped sees whole pictures")
    assert len(client.post("/api/explain", files=seven).json()["steps"]) == 1
