"""Environments of people who have never seen this repository."""

import subprocess
import sys
import sysconfig
from pathlib import Path

PIP = (
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--no-build-isolation",
    "--no-index",
    "--disable-pip-version-check",
)


def environment(root: Path, *packages: Path) -> Path:
    """The interpreter of a new environment, which reaches what is installed here, with packages installed offline.

    Args:
        root: A new directory for it.
        packages: Folders or wheels.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    python = root / "bin" / "python"
    command = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours))
    subprocess.run([python, *PIP, *packages], check=True, timeout=300)
    return python
