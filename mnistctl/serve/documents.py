"""What requests may say, and what they are answered: the description in /openapi.json."""

from typing import Annotated, Any

from fastapi import File, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from mnistctl.imaging.ink import Invert


class ErrorDocument(BaseModel):
    """What every error answers."""

    error: str
    hint: str


class PredictionDocument(BaseModel):
    """One digit, as `mnistctl predict --json` describes it."""

    image: str
    digit: int | None
    class_name: str
    class_index: int
    confidence: float
    probabilities: list[float]
    verdict: str
    outlier_probability: float | None
    warnings: list[str]
    box: tuple[int, int, int, int]
    line: int
    input: list[list[int]] | None = None


class PredictionsDocument(BaseModel):
    """As `mnistctl predict --json`; `checkpoint` is a name of /api/models."""

    checkpoint: str
    classes: list[str]
    predictions: list[PredictionDocument]
    errors: list[dict[str, str]]


class Question(BaseModel):
    """What every request about a picture may say in its query."""

    model_config = ConfigDict(extra="forbid")  # a name that is misspelt is said so
    checkpoint: str | None = Field(None, description="A name of /api/models")
    multi: bool = Field(False, description="Find several digits in a picture")
    invert: Invert = Field("auto", description="yes: dark ink on light paper; no: light on dark")


class PredictQuestion(Question):
    """How to predict."""

    input: bool = Field(False, description="Add each digit's 28 x 28 pixels, 0 to 255")


class ExplainQuestion(Question):
    """What to explain."""

    number: int = Field(0, ge=0, description="Which digit of the picture, with multi")
    class_name: str | None = Field(None, description="For and against which; None: the predicted")


class CollectQuestion(ExplainQuestion):
    """What to save."""

    class_name: str = Field(description="What the picture shows")


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorDocument} for status in (400, 401, 403, 404, 408, 413, 415, 422, 503)
}
Images = Annotated[list[UploadFile], File(description="A picture in any common format; repeatable")]
Image = Annotated[UploadFile, File(description="A picture in any common format")]
