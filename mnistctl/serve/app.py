"""The routes: the page, and the same answers for programs."""

import asyncio
import mimetypes
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from mnistctl import __version__
from mnistctl.data.images import Preparation
from mnistctl.engine.inference.predict import Predictions, Unreadable, asking
from mnistctl.errors import ImageError, MnistctlError, UsageError, unknown
from mnistctl.imaging.files import Picture, read_image
from mnistctl.imaging.ink import Invert
from mnistctl.imaging.prepare import Ask, Prepared, prepare_digits
from mnistctl.serve.collection import Collection
from mnistctl.serve.documents import (
    ERRORS,
    CollectQuestion,
    ExplainQuestion,
    Image,
    Images,
    PredictionsDocument,
    PredictQuestion,
    Question,
)
from mnistctl.serve.explain import explain, numbered
from mnistctl.serve.guard import Refused, error_response
from mnistctl.serve.networks import Asker, Network, Networks

PAGE = Path(__file__).parent / "page"
MAX_IMAGES = 64
MAX_LISTED = 60

T = TypeVar("T")


class Service:
    """What the routes share: the networks, and the threads that work for them."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        # One thread asks: a network answers a batch, and takes as many cores as it is given.
        self.asking = ThreadPoolExecutor(1, "ask")
        self.explaining = ThreadPoolExecutor(1, "explain")
        self.preparing = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "prepare")
        self.asker = Asker(self.asking)

    async def network(self, question: Question) -> Network:
        """The network that a request names. Raises Refused 404 or 422, CheckpointError."""
        try:
            network = await in_thread(self.asking, self.networks.get, question.checkpoint)
        except UsageError as error:
            raise Refused(404, error.message, error.hint) from error
        if question.multi and network.model.prepare != "ink":
            raise Refused(422, f"{network.name} sees whole pictures", "don't ask for several")
        return network

    def ask(self, network: Network) -> Ask:
        """What a thread that prepares several digits asks, in the thread that asks."""
        ask = asking(network.model.predictor)
        return lambda pixels: self.asking.submit(ask, pixels).result()

    def close(self) -> None:
        """Drop what has not begun."""
        for pool in (self.asking, self.explaining, self.preparing):
            pool.shutdown(wait=False, cancel_futures=True)


async def in_thread(pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
    """What `function` returns, of a thread of `pool`."""
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def create_app(networks: Networks, collection: Collection | None) -> FastAPI:
    """The application, without the guard before it."""
    service = Service(networks)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="mnistctl",
        version=__version__,
        summary="Which digit a picture shows, and why",
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_errors(app)
    _add_page(app)
    _add_answers(app, service)
    if collection is not None:
        _add_collection(app, service, collection)

    @app.get("/api/models")
    async def models() -> dict[str, Any]:
        """The networks that can be asked, and whether pictures are collected."""
        listing = await in_thread(service.preparing, networks.listing)
        collect = None if collection is None else str(collection.directory)
        return {"default": networks.default.name, "models": listing, "collect": collect}

    @app.get("/api/health")
    async def health() -> dict[str, str]:
        """That the server answers."""
        return {"status": "ok", "version": __version__, "checkpoint": networks.default.name}

    return app


def _add_page(app: FastAPI) -> None:
    """Each file of the page under its own name, read once: no request names a file."""
    for file in sorted(PAGE.iterdir()):
        kind = mimetypes.guess_type(file.name)[0] or "text/plain"
        address = "/" if file.name == "index.html" else f"/{file.name}"
        app.add_route(address, _constant(Response(file.read_bytes(), media_type=kind)))


def _constant(response: Response) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return response

    return answer


def _add_answers(app: FastAPI, service: Service) -> None:
    @app.post("/api/predict", responses={200: {"model": PredictionsDocument}, **ERRORS})
    async def predict(image: Images, question: Annotated[PredictQuestion, Query()]) -> JSONResponse:
        """Which digit each picture shows: the document of `mnistctl predict --json`."""
        if len(image) > MAX_IMAGES:
            raise Refused(422, f"{len(image)} images at once", f"send at most {MAX_IMAGES}")
        network = await service.network(question)
        contents = [(await upload.read(), upload.filename or "image") for upload in image]
        ask = service.ask(network) if question.multi else None
        how = network.model.prepare
        found = await asyncio.gather(
            *(
                in_thread(service.preparing, _prepared, *own, question.invert, ask, how)
                for own in contents
            )
        )
        errors = [own for own in found if isinstance(own, Unreadable)]
        if len(errors) == len(found):
            raise Refused(422, errors[0].error, "send a PNG or JPEG of at most 64 million pixels")
        pictures = [
            (number, contents[number][1], prepared)
            for number, own in enumerate(found)
            if not isinstance(own, Unreadable)
            for prepared in own
        ]
        predictions = await service.asker.predict(network, pictures, question.multi)
        document = Predictions(network.model, predictions, errors).to_dict()
        if question.input:
            for entry, prediction in zip(document["predictions"], predictions, strict=True):
                entry["input"] = prediction.pixels.tolist()
        return JSONResponse(document | {"checkpoint": network.name})

    @app.post("/api/explain", responses=ERRORS)
    async def explain_(image: Image, question: Annotated[ExplainQuestion, Query()]) -> JSONResponse:
        """Why: the steps to the network's input, the evidence of each pixel, and the layers.

        `png` are greyscale pictures in base64; `attribution` is 28 x 28, for above 0, against
        below.
        """
        network = await service.network(question)
        picture = await _picture(service, image)
        return JSONResponse(
            await in_thread(service.explaining, explain, network, picture, question)
        )


def _add_collection(app: FastAPI, service: Service, collection: Collection) -> None:
    def listing() -> dict[str, Any]:
        found = collection.pictures()
        counts: dict[str, int] = {}
        for own in sorted(found, key=lambda picture: picture.folder):
            counts[own.folder] = counts.get(own.folder, 0) + 1
        newest = [{"folder": own.folder, "name": own.name} for own in found[:MAX_LISTED]]
        return {
            "directory": str(collection.directory),
            "counts": counts,
            "pictures": newest,
            "command": service.networks.train_command(collection.root),
        }

    @app.get("/api/collected")
    async def collected() -> dict[str, Any]:
        """How many pictures each class has, and the newest ones."""
        return await in_thread(service.preparing, listing)

    @app.post("/api/collected", status_code=201, responses=ERRORS)
    async def collect(
        image: Image, question: Annotated[CollectQuestion, Query()]
    ) -> dict[str, str]:
        """Save a picture under what it shows; of several digits, the input of the one meant."""
        class_name = question.class_name
        network = await service.network(question)
        if class_name not in network.model.predictor.classes:
            raise unknown("class", class_name, network.model.predictor.classes)
        picture = await _picture(service, image)
        pixels = picture.pixels
        if network.model.prepare == "resize" and question.invert == "yes":
            pixels = 255 - pixels  # as it was asked about; training takes pictures as they are
        if question.multi:
            ask = service.ask(network)
            found = await in_thread(
                service.preparing, prepare_digits, picture, question.invert, ask
            )
            meant = numbered(found, question.number)
            if not meant.others:  # else no digit stands out: all of the picture is meant
                pixels = meant.pixels
        saved = await in_thread(service.preparing, collection.add, pixels, class_name)
        return {"folder": saved.folder, "name": saved.name}

    @app.get("/api/collected/{folder}/{name}", responses=ERRORS)
    async def collected_picture(folder: str, name: str) -> Response:
        """A picture of the listing, PNG."""
        content = await in_thread(service.preparing, collection.read, folder, name)
        if content is None:
            raise Refused(404, "there is no such picture")
        return Response(content, media_type="image/png")

    @app.delete("/api/collected/{folder}/{name}", responses=ERRORS)
    async def remove(folder: str, name: str) -> dict[str, str]:
        """Remove a picture of the listing."""
        if not await in_thread(service.preparing, collection.remove, folder, name):
            raise Refused(404, "there is no such picture")
        return {"removed": name}


def _prepared(
    content: bytes, name: str, invert: Invert, ask: Ask | None, how: Preparation
) -> Sequence[Prepared] | Unreadable:
    try:
        return prepare_digits(read_image(content, name), invert, ask, how)
    except ImageError as error:
        return Unreadable(name, error.message)


async def _picture(service: Service, image: UploadFile) -> Picture:
    """The picture of an upload. Raises ImageError."""
    content = await image.read()
    return await in_thread(service.preparing, read_image, content, image.filename or "image")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(MnistctlError)
    async def known(request: Request, error: MnistctlError) -> JSONResponse:
        return error_response(422, error.message, error.hint)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place, name = first["loc"][0], first["loc"][-1]
        if place == "body":
            return error_response(400, "no image in the form", "curl: -F image=@FILE")
        return error_response(422, f"{name}: {first['msg']}", "see /openapi.json")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        hint = getattr(error, "hint", "")
        if error.status_code == 404 and not hint:
            hint = "the page is at /, the description of the interface at /openapi.json"
        return error_response(error.status_code, str(error.detail), hint)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return error_response(500, f"unexpected {type(error).__name__}", "this is a bug")
