"""Pushes a data set that :mod:`evalkit.benchmarks.dataset` wrote to the Hugging Face Hub.

Images go along where a licence says they may, or where the user asks for them in so many words; else what is pushed
are the texts, and for every image its file name, its digest and the address of these very bytes upstream.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit import __version__
from evalkit.benchmarks.dataset import CARD_FILE, ROWS_FILE, TEXT_FILE, table_of, write_dataset
from evalkit.benchmarks.dataset_card import CardText
from evalkit.edits.item import IMAGE_FIELDS
from evalkit.errors import DataError, OptionError, PublishError
from evalkit.storage.documents import read_json

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, HfApi


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedDataset:
    """A data set on the Hub."""

    repo_id: str
    url: str
    commit: str
    """The revision that holds it."""
    changed: bool
    """Whether there was anything to push."""
    with_images: bool
    private: bool


def publish_dataset(
    folder: Path,
    repo_id: str,
    *,
    include_images: bool = False,
    private: bool = False,
    message: str | None = None,
) -> PublishedDataset:
    """Pushes a data set in one commit; where the repository already holds it there is none.

    Args:
        folder: What ``build_dataset`` wrote. Its card is pushed as it is, unless images are left out: then it is
            written anew, and says so.
        repo_id: ``namespace/name``; made if it does not exist.
        include_images: Push the images even though no licence is known under which they could be passed on.
        private: Make a new repository private; refused for one that is public already.
        message: The commit's; by default it names the benchmark and both versions.

    Raises:
        DataError: The folder is not such a data set.
        OptionError: ``repo_id`` is malformed.
        PublishError: The Hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    text = _card_text(folder)
    with_images = include_images or text.licence_id is not None
    if not message:
        message = f"{text.title}, version {text.version}, by evalkit {__version__}"
    with tempfile.TemporaryDirectory() as staging:
        upload = folder if with_images else _without_images(folder, text, Path(staging))
        api = HfApi(library_name="evalkit", library_version=__version__)
        with _hub_errors(api, repo_id):
            before = _prepared(api, repo_id, private=private)
            api.upload_folder(
                repo_id=repo_id,
                repo_type="dataset",
                folder_path=upload,
                allow_patterns=[CARD_FILE, TEXT_FILE, ROWS_FILE],
                delete_patterns="data/*",
                commit_message=message,
            )
            after = api.dataset_info(repo_id)
    return PublishedDataset(
        repo_id=repo_id,
        url=f"{api.endpoint}/datasets/{repo_id}",
        commit=str(after.sha),
        changed=before.sha != after.sha,
        with_images=with_images,
        private=bool(after.private),
    )


def _card_text(folder: Path) -> CardText:
    """What is published, from the folder itself."""
    foreign = DataError(
        f"{folder} is not a data set that evalkit built: expected {TEXT_FILE}, {CARD_FILE} and {ROWS_FILE} in it. "
        f"Build one with: evalkit dataset build NAME --output DIR"
    )
    try:
        record = read_json(folder / TEXT_FILE)
        text = CardText(**{**record, "notes": tuple(record["notes"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise foreign from error
    if not all((folder / name).is_file() for name in (CARD_FILE, ROWS_FILE)):
        raise foreign
    return text


def _without_images(folder: Path, text: CardText, staging: Path) -> Path:
    """The same data set without its image columns, with a card of its own."""
    import pyarrow.parquet

    schema = pyarrow.parquet.read_schema(folder / ROWS_FILE)
    kept = [name for name in schema.names if name not in IMAGE_FIELDS]
    rows = pyarrow.parquet.read_table(folder / ROWS_FILE, columns=kept).to_pylist()
    write_dataset(staging, text, table_of(rows))
    return staging


def _prepared(api: "HfApi", repo_id: str, *, private: bool) -> "DatasetInfo":
    """The repository as it is before anything is pushed, made if it is not there; somebody must be logged in."""
    api.whoami()
    api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
    before = api.dataset_info(repo_id)
    if private and not before.private:
        raise PublishError(
            f"{repo_id} exists and is public: expected a private repository under --private. Nothing was "
            f"pushed. Make it private in its settings, or choose another with: --repo-id"
        )
    return before


@contextmanager
def _hub_errors(api: "HfApi", repo_id: str) -> Iterator[None]:
    """Says what the Hub's refusals mean, and what to do."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
    from huggingface_hub.errors import HTTPError as AnyHTTPError  # type: ignore[attr-defined]  # re-exported

    log_in = f"You are not logged in to {api.endpoint}, which publishing needs. Log in with: hf auth login"
    try:
        yield
    except HFValidationError as error:
        raise OptionError(f"--repo-id {repo_id} is malformed: expected NAMESPACE/NAME. {error}") from error
    except LocalTokenNotFoundError as error:
        raise PublishError(log_in) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            raise PublishError(f"{log_in} (The Hub does not accept the token that it was given.)") from error
        if status == 403:
            raise PublishError(
                f"Your token may not write to {repo_id}; it may to repositories of {' or '.join(_namespaces(api))}, "
                f"if it has the role 'write'. Choose one with: --repo-id NAMESPACE/NAME"
            ) from error
        raise PublishError(
            f"{api.endpoint} answered {status} while {repo_id} was published: {_first(error)}"
        ) from error
    except (AnyHTTPError, OSError, RuntimeError) as error:  # an upload's failure comes wrapped in a RuntimeError
        cause = error.__cause__ if type(error) is RuntimeError and error.__cause__ else error
        raise PublishError(
            f"Publishing {repo_id} to {api.endpoint} failed: {type(cause).__name__}: {_first(cause)} "
            f"The data set is still built; with a working connection, run the same command again."
        ) from error


def _namespaces(api: "HfApi") -> list[str]:
    account = api.whoami()
    return [account["name"], *(organization["name"] for organization in account.get("orgs", []))]


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{lines[0].rstrip('.')}." if lines else ""
