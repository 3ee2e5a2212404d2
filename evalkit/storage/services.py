"""Where a service is and the key to it, as users say them; neither may end in a file or a message."""

import os
import re
from urllib.parse import urlsplit

from evalkit.errors import OptionError


def service_url(text: str, what: str) -> str:
    """An address without a slash at its end.

    Args:
        text: As it was typed.
        what: What it is, as a message begins.

    Raises:
        OptionError: It is no address of HTTP, or holds a password.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if "@" in parts.netloc or parts.query:  # not repeated here: it may be a secret
        raise OptionError(
            f"{what} must not hold a key or password; name an environment variable that does: key_variable=NAME"
        )
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise OptionError(f"{what} must be like http://localhost:8000/v1; got '{text}'.")
    return text.rstrip("/")


def service_key(variable: str, option: str) -> str | None:
    """The key in an environment variable, None if there is to be none.

    Args:
        variable: The variable's name; empty for no key.
        option: The option that says ``key_variable=NAME``.

    Raises:
        OptionError: The name is none, or the variable holds no key.
    """
    if not variable:
        return None
    if not re.fullmatch(r"[A-Za-z_]\w*", variable, re.ASCII):  # not repeated here: it may be the key itself
        raise OptionError("The setting 'key_variable' must be the name of an environment variable, not a key.")
    key = os.environ.get(variable, "").strip()
    if not key:
        raise OptionError(
            f"The environment variable {variable} holds no key. Set it: export {variable}=…; for a server that wants "
            f"none: {option} key_variable="
        )
    if not key.isascii() or not key.isprintable():
        raise OptionError(f"The environment variable {variable} must hold a key of printable ASCII characters.")
    return key
