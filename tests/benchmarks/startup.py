"""How long a person waits for help: the median over several fresh processes, on a warm disk.

python tests/benchmarks/startup.py
"""

import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from common import process

RUNS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "evalkit --help": [str(Path(sys.executable).with_name("evalkit")), "--help"],
    "evalkit score --help": [str(Path(sys.executable).with_name("evalkit")), "score", "--help"],
}


def main() -> None:
    """Print the median seconds of each command."""
    for command in COMMANDS.values():
        process(command)
    seconds = {name: [process(command).seconds for _ in range(RUNS)] for name, command in COMMANDS.items()}
    print(json.dumps({name: round(statistics.median(times), 3) for name, times in seconds.items()}, indent=2))


if __name__ == "__main__":
    main()
