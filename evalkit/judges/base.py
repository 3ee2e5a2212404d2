"""What a judge is: something that is shown texts and pictures, and answers in words."""

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.errors import OptionError
from evalkit.images.decode import decode_image
from evalkit.images.plain_png import is_plain_png
from evalkit.images.stored import AnyImage
from evalkit.registry import nearest

Finish = Literal["stop", "length", "refusal", "other"]
"""Why an answer ended: it was complete, too long, refused, or for a reason of the server's own."""
PictureFormat = Literal["png", "jpeg"]
_JPEG_QUALITY = 95
LONGEST_NAME = 200
"""Characters of a model's name, as it is kept."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a judge is sent it."""

    data: bytes
    """The file."""
    format: PictureFormat

    @property
    def media_type(self) -> str:
        """``image/png`` or ``image/jpeg``."""
        return f"image/{self.format}"

    def open(self) -> Image.Image:
        """The pixels that the judge sees, in mode RGB."""
        return Image.open(io.BytesIO(self.data)).convert("RGB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a judge is asked."""

    parts: tuple[str | Picture, ...]
    """Texts and pictures in the order in which it reads them."""
    system: str = ""
    """What it is told beforehand."""
    schema: Mapping[str, Any] | None = None
    """The JSON Schema of an answer, for judges that can be held to one; others are only told in the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAnswer:
    """What a judge answered."""

    text: str
    """Word for word; of a refusal what it said instead."""
    model: str
    """As the server names it, which is often more precise than what it was asked for; with the weights' digest where
    they are on this machine."""
    finish: Finish = "stop"
    is_structured: bool = False
    """Whether the judge was held to the question's schema."""
    system_fingerprint: str | None = None
    """Of the server's configuration, where it says one."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    """What was charged, in the currency of the settings; None where neither the server nor a price says it."""
    seconds: float = 0.0


class Judge(Protocol):
    """A judge that was opened. Threads may ask it at the same time."""

    @property
    def label(self) -> str:
        """What it is called where it is known by what was asked for: ``http/MODEL``."""

    @property
    def key(self) -> Mapping[str, Any]:
        """All that decides its answers and is known before it is asked, as JSON: address, model, temperature, …."""

    def ask(self, question: Question, *, seed: int = 0) -> JudgeAnswer:
        """Its answer.

        Args:
            question: What it is asked.
            seed: Of what is random in it; the same seed gives the same answer where the judge can do that.

        Raises:
            EndpointError: It could not be asked: no refusal, which is an answer.
        """


class JudgeSettings(BaseModel):
    """How a judge is asked, whichever it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: Annotated[float | None, Field(ge=0, le=2)] = 0.0
    """Of the sampling; 0 takes the likeliest word. None: the server's own, for models that take no other."""
    max_tokens: Annotated[int, Field(ge=1)] = 1024
    """Of an answer; what is longer is cut off, and then undefined."""
    image_size: Annotated[int, Field(ge=16)] = 1024
    """Pixels: the longer side of a picture is at most this long; smaller ones are sent as they are."""
    image_format: PictureFormat = "png"
    """JPEG is of quality 95."""
    key_variable: str = ""
    """Environment variable with the key of a service.  [default: OPENAI_API_KEY for api.openai.com, else none]"""
    time_limit: Annotated[float, Field(gt=0)] = 180.0
    """Seconds for an answer."""
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    """After 429, 5xx and time-outs."""
    longest_wait: Annotated[float, Field(ge=0)] = 120.0
    """Seconds from one try to the next; a server that wants more has failed."""
    requests_per_minute: Annotated[float | None, Field(gt=0)] = None
    """At most, repeated ones too."""
    price_input: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """Per million tokens sent, where the server does not say what it charges."""
    price_output: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """Per million tokens received, likewise."""
    currency: str = "USD"

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "JudgeSettings":
        """The settings that a user typed, each ``name`` with its text or value.

        Raises:
            OptionError: There is no setting of a name, or it cannot have that value.
        """
        for name in values:
            if name not in cls.model_fields:
                raise OptionError(
                    f"A judge has no setting '{name}'. {nearest(name, cls.model_fields)}It has: "
                    f"{', '.join(cls.model_fields)}."
                )
        given = {name: None if value in ("", "none") else value for name, value in values.items()}
        try:
            return cls.model_validate(
                {**given, **({"key_variable": ""} if given.get("key_variable", "") is None else {})}
            )
        except ValidationError as failure:
            first = failure.errors(include_url=False)[0]
            name = str(first["loc"][0])
            raise OptionError(f"The judge's setting '{name}': {first['msg']}, got '{values[name]}'.") from None

    @property
    def image_label(self) -> str:
        """How pictures are sent, as it stands in a signature: ``1024-png``."""
        quality = _JPEG_QUALITY if self.image_format == "jpeg" else ""
        return f"{self.image_size}-{self.image_format}{quality}"

    def picture_of_file(self, data: bytes, name: AnyImage | str, *, decoded: Image.Image | bool = False) -> Picture:
        """A picture as it is sent: its file, where that is already what would be sent, else what is made of its pixels.

        Args:
            data: The whole file.
            name: What messages call it.
            decoded: The pixels, or whether these bytes were decoded without an error already, which then need not be
                found out.

        Raises:
            ImageError: It cannot be decoded.
        """
        if self.image_format == "png" and is_plain_png(data, longest_side=self.image_size, decoded=bool(decoded)):
            return Picture(data, "png")
        return self.picture(decode_image(data, name).image if isinstance(decoded, bool) else decoded)

    def picture(self, image: Image.Image) -> Picture:
        """A picture as it is sent.

        Args:
            image: In mode RGB, of any size; it is made smaller where it must, by a Lanczos filter, and never larger.
        """
        scale = self.image_size / max(image.size)
        if scale < 1:
            size = tuple(max(1, round(side * scale)) for side in image.size)
            image = image.resize(size, Image.Resampling.LANCZOS)  # type: ignore[arg-type]  # two sides
        file = io.BytesIO()
        if self.image_format == "png":
            image.save(file, "PNG", compress_level=1, compress_type=zlib.Z_RLE)  # in half the time, and no larger
        else:
            image.save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return Picture(file.getvalue(), self.image_format)

    def cost(self, input_tokens: int | None, output_tokens: int | None) -> float | None:
        """What the prices make of numbers of tokens; None where a price or a number is not known."""
        parts = [
            price * tokens / 1e6
            for price, tokens in ((self.price_input, input_tokens), (self.price_output, output_tokens))
            if price is not None and tokens is not None
        ]
        n_prices = sum(price is not None for price in (self.price_input, self.price_output))
        return sum(parts) if parts and len(parts) == n_prices else None
