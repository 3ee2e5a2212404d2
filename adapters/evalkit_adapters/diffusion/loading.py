"""Pipelines of diffusers brought into memory, without their progress bars. torch and diffusers are imported then."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from evalkit.editing.method import MethodRun
from evalkit.encoders.checkpoints import refuse_pickled
from evalkit.errors import BrokenPluginError, MissingExtraError, WeightsError

_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def open_pipeline(kind: str, run: MethodRun, **parts: Any) -> Any:  # noqa: ANN401 - diffusers ships no types
    """A pipeline of diffusers, in memory on the run's device.

    Args:
        kind: Name of its class.
        run: Says from where, in which precision and on which device.
        parts: What it is built with other than what is saved.

    Raises:
        BrokenPluginError: The installed diffusers has no such class.
        MissingExtraError: The model needs a library that is not installed.
        WeightsError: The weights cannot be found or downloaded, or are those of another pipeline.
    """
    import diffusers
    import torch

    made = getattr(diffusers, kind, None)
    if made is None:
        raise BrokenPluginError(
            f"diffusers {diffusers.__version__} has no {kind}, which this method runs. "
            f"Install a newer one: pip install --upgrade diffusers"
        )
    # Only where it is not the default: older and newer releases call this option by different names.
    precision = {} if run.dtype == "fp32" else {"torch_dtype": getattr(torch, _DTYPES[run.dtype])}
    try:
        with quiet("diffusers", "transformers"):
            pipeline = made.from_pretrained(
                run.model, revision=run.revision, local_files_only=Path(run.model).is_dir(), **precision, **parts
            ).to(run.device)
    except ImportError as error:  # such as sentencepiece, which some tokenizers need
        raise MissingExtraError(
            f"The base model {run.model} needs a library that is not installed ({str(error).strip().splitlines()[0]}). "
            f"Install it: pip install 'evalkit-editing[pipelines]'"
        ) from error
    except Exception as error:  # of half a dozen libraries: hub, files, configuration, weights
        refuse_pickled(error, run.model)
        raise WeightsError(
            f"The base model {run.model} cannot be loaded as a {kind} "
            f"({type(error).__name__}: {(str(error) or 'no reason given').splitlines()[0]}). "
            f"Name another with --model HUB_ID_OR_DIRECTORY"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """Keeps the libraries' progress bars, which would mix with ours, and their warnings off the terminal."""
    loggers = [import_module(f"{library}.utils.logging") for library in libraries]
    before = [(logger, logger.get_verbosity(), logger.is_progress_bar_enabled()) for logger in loggers]
    for logger in loggers:
        logger.set_verbosity_error()
        logger.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for logger, verbosity, shown in before:
            logger.set_verbosity(verbosity)
            if shown:
                logger.enable_progress_bar()
