"""An image-edit endpoint of the kind that OpenAI serves, wherever it is, as a method."""

import base64
import binascii
import io
import re
from dataclasses import dataclass
from math import inf, log
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from evalkit.editing.method import Billed, EditedPicture, MethodCard, MethodRun, Setting
from evalkit.edits.item import EditItem
from evalkit.errors import EditError, OptionError, import_extra
from evalkit.images.decode import decode_image
from evalkit.storage.services import service_key, service_url
from evalkit_adapters.settings import choice

if TYPE_CHECKING:
    from evalkit.storage.endpoint import Endpoint

_SIZES = "1024x1024,1536x1024,1024x1536"
_SAME_SHAPE = 0.03
"""Relative difference of two aspect ratios that a multiple-of-16 rule can make."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A source image as it is sent, and where it lies on what is sent."""

    png: bytes
    size: tuple[int, int]
    """Width and height of what is sent, in pixels."""
    box: tuple[int, int, int, int]
    """The source image on it: left, top, right, bottom."""
    source_size: tuple[int, int]
    is_size_requested: bool
    """Whether an answer of this size is asked for; if not, the server decides."""


class HTTP:
    """Sends a source image and an instruction to an endpoint, and gives back the picture that it answers with."""

    card: ClassVar[MethodCard] = MethodCard(
        name="http",
        title="HTTP endpoint",
        summary="Asks an OpenAI-compatible endpoint, POST {base_url}/images/edits, for each edit.",
        paper="https://platform.openai.com/docs/api-reference/images/createEdit",
        licence="Apache-2.0; the service has its own terms",
        variant=(
            "The source image is fitted into the middle of the allowed size that is nearest in shape, on a ground of "
            "its own border's pixels; the answer is cut and resized to the source's frame, so that pixels can be "
            "compared. The key comes from the environment and is written nowhere. What a server does behind its model "
            "name may change from day to day."
        ),
        takes=frozenset({"instruction", "target_caption"}),
        settings={
            "base_url": Setting(default="https://api.openai.com/v1", summary="Address, up to before /images/edits."),
            "model": Setting(default="gpt-image-1", summary="As the server calls it."),
            "key_variable": Setting(
                default="OPENAI_API_KEY",
                summary="Environment variable with the key; empty for none.",
                shapes_edits=False,
            ),
            "prompt": choice("instruction", "The text that is sent.", ("instruction", "target_caption")),
            "sizes": Setting(
                default=_SIZES,
                summary="The sizes that may be asked for, WIDTHxHEIGHT with commas between; empty: the source's own is "
                "sent, and the server decides.",
            ),
            "quality": Setting(default="", summary="Such as low, medium, high; the server's default if empty."),
            "send_seed": Setting(default=False, summary="Whether the server takes a seed; OpenAI's does not."),
            "requests_per_minute": Setting(
                default=None, summary="Requests at most, repeated ones too.", lowest=0.001, shapes_edits=False
            ),
            "retries": Setting(
                default=5, summary="After 429, 5xx and time-outs.", lowest=0, highest=20, shapes_edits=False
            ),
            "time_limit": Setting(default=300.0, summary="Seconds per request.", lowest=0.001, shapes_edits=False),
            "longest_wait": Setting(
                default=120.0,
                summary="Seconds from one try to the next; a server that wants more has failed.",
                lowest=0,
                shapes_edits=False,
            ),
            "price_edit": Setting(default=None, summary="Per edit.", lowest=0, shapes_edits=False),
            "price_text_tokens": Setting(
                default=None, summary="Per million tokens of text sent.", lowest=0, shapes_edits=False
            ),
            "price_image_tokens": Setting(
                default=None, summary="Per million tokens of image sent.", lowest=0, shapes_edits=False
            ),
            "price_output_tokens": Setting(
                default=None, summary="Per million tokens received.", lowest=0, shapes_edits=False
            ),
            "currency": Setting(default="USD", summary="Of the prices, and of the cost that a server names."),
        },
        extra="http",
        cannot="It sends no edit mask, and most services cannot repeat an edit: they take no seed.",
    )
    settings: dict[str, Any]
    endpoint: "Endpoint"

    def load(self, run: MethodRun) -> None:
        """Checks the settings and takes the key from the environment; nothing is sent.

        Raises:
            MissingExtraError: requests is not installed.
            OptionError: The address, the sizes or the name of the variable are malformed, or the variable is not set.
        """
        import_extra("requests", "http")
        from evalkit.storage.endpoint import Endpoint

        self.settings = dict(run.settings)
        self.sizes = _sizes(self.settings["sizes"])
        base_url = service_url(self.settings["base_url"], "The setting 'base_url'")
        self.endpoint = Endpoint(
            url=f"{base_url}/images/edits",
            key=service_key(self.settings["key_variable"], "--set"),
            time_limit=self.settings["time_limit"],
            retries=self.settings["retries"],
            longest_wait=self.settings["longest_wait"],
            requests_per_minute=self.settings["requests_per_minute"],
        )

    def fit(self, source_image: Image.Image, source_caption: str | None, *, seed: int) -> Canvas:  # noqa: ARG002
        """The source image as it is sent."""
        return _canvas(source_image, self.sizes)

    def edit(self, item: EditItem, fitted: Canvas, *, seed: int) -> EditedPicture | Billed:
        """The server's answer.

        Raises:
            EditError: It answered with something else than one picture.
            EndpointError: It refused or failed.
        """
        prompt = getattr(item, self.settings["prompt"])
        if not prompt:
            other = "target_caption" if self.settings["prompt"] == "instruction" else "instruction"
            raise EditError(f"the item has no {self.settings['prompt']} to send; perhaps --set prompt={other}")
        fields = {"model": self.settings["model"], "prompt": prompt, "n": "1"}
        fields |= {"size": "{}x{}".format(*fitted.size)} if fitted.is_size_requested else {}
        fields |= {"quality": self.settings["quality"]} if self.settings["quality"] else {}
        fields |= {"seed": str(seed)} if self.settings["send_seed"] else {}
        answer = self.endpoint.ask(data=fields, files={"image": ("source.png", fitted.png, "image/png")})
        picture = _cut_to_source(self._picture(answer), fitted)
        cost = _cost(answer, self.settings)
        return picture if cost is None else Billed(picture=picture, cost=cost, currency=self.settings["currency"])

    def _picture(self, answer: dict[str, Any]) -> Image.Image:
        data = answer.get("data")
        first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
        text, url = first.get("b64_json"), first.get("url")
        if isinstance(url, str) and url.startswith("data:"):
            text = url.partition(",")[2]
        if isinstance(text, str) and text:
            try:
                content = base64.b64decode(text)
            except (binascii.Error, ValueError):
                raise EditError("the server's b64_json is not base64") from None
        elif isinstance(url, str) and re.match("https?://", url):
            content = self.endpoint.download(url)
        else:
            had = ", ".join(answer) or "nothing"
            raise EditError(f"the server's answer holds no image: expected data[0] with b64_json or url, got {had}")
        return decode_image(content, "the server's image").image


def _sizes(text: str) -> list[tuple[int, int]]:
    sizes = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"([1-9]\d{1,3})x([1-9]\d{1,3})", part)
        if not found:
            raise OptionError(f"The setting 'sizes' must be like {_SIZES}; got '{text}'.")
        sizes.append((int(found[1]), int(found[2])))
    return sizes


def _canvas(source: Image.Image, sizes: list[tuple[int, int]]) -> Canvas:
    """The source image, fitted into the size of the nearest shape."""
    width, height = size = source.size
    box = (0, 0, width, height)
    if sizes:
        size = min(sizes, key=lambda one: abs(log(one[0] / one[1] * height / width)))
        scale = min(size[0] / width, size[1] / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        box = (left, top, left + inner[0], top + inner[1])
    file = io.BytesIO()
    _pad_with_edges(source, size, box).save(file, "PNG")
    return Canvas(png=file.getvalue(), size=size, box=box, source_size=source.size, is_size_requested=bool(sizes))


def _pad_with_edges(source: Image.Image, size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """The image resized into a box of a larger one; around it its border goes on."""
    import numpy as np

    left, top, right, bottom = box
    inner = source.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
    around = ((top, size[1] - bottom), (left, size[0] - right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(inner), around, mode="edge"))


def _cut_to_source(answer: Image.Image, canvas: Canvas) -> Image.Image:
    """The part of an answer that shows the source image's frame, in its size.

    An answer of another shape than what was sent cannot be laid over it: it is given back as it is if the server was
    free to choose (a square is allowed), and refused otherwise.
    """
    width, height = canvas.size
    scale_x, scale_y = answer.width / width, answer.height / height
    if abs(scale_x / scale_y - 1) > _SAME_SHAPE:
        if not canvas.is_size_requested:
            return answer
        raise EditError(
            f"the server was asked for {width} × {height} and answered with {answer.width} × {answer.height}; name "
            f"the sizes that it has: --set sizes={answer.width}x{answer.height}"
        )
    left, top, right, bottom = canvas.box
    box = (left * scale_x, top * scale_y, right * scale_x, bottom * scale_y)
    return answer.resize(canvas.source_size, Image.Resampling.LANCZOS, box=box)


def _cost(answer: dict[str, Any], settings: dict[str, Any]) -> float | None:
    """What the server says it charges, else what the prices make of its token counts; None if neither is known."""
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    for named in (usage.get("cost"), answer.get("cost")):
        if (charged := _number(named)) is not None:
            return charged
    details = usage.get("input_tokens_details")
    details = details if isinstance(details, dict) else {"image_tokens": usage.get("input_tokens")}
    counts = {
        "price_text_tokens": details.get("text_tokens"),
        "price_image_tokens": details.get("image_tokens"),
        "price_output_tokens": usage.get("output_tokens"),
    }
    parts = [
        settings[name] * count / _MILLION
        for name, given in counts.items()
        if settings[name] is not None and (count := _number(given)) is not None
    ]
    parts += [settings["price_edit"]] if settings["price_edit"] is not None else []
    return sum(parts) if parts else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
        return None
    return float(value)
