"""evalkit measures text-guided image editing and says how sure it is.

``measure`` takes images in memory, ``score`` and ``score_each`` take folders; ``compare`` takes the runs that these
write, or other tools' tables, and ``power`` plans a study. ``open_edits`` opens a folder that needs more to be said of
it, ``read_run`` reads a run again; ``compare_votes`` takes votes. Their options are ``ScoreOptions``,
``ComparisonOptions`` and ``VoteOptions``; what they return is ``ScoredRun``, ``ScoredFolders``, ``Comparison``,
``VoteComparison`` and ``StudyPlan``. All other names are for those who bring a metric, a method, an encoder or a
benchmark of their own. ``evalkit guide python`` has examples.

    >>> import evalkit
    >>> from PIL import Image
    >>> white, black = (Image.new("RGB", (32, 32), colour) for colour in ("white", "black"))
    >>> evalkit.measure(white, source=black, metrics=["l1"])["l1"]
    1.0

What is named in ``__all__`` is public; everything is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # for readers and type checkers; nothing of it is imported here
    from evalkit.benchmarks.base import Benchmark as Benchmark
    from evalkit.benchmarks.open import open_edits as open_edits
    from evalkit.benchmarks.protocols import Protocol as Protocol
    from evalkit.benchmarks.protocols import ProtocolColumn as ProtocolColumn
    from evalkit.comparison.compare import compare as compare
    from evalkit.comparison.options import ComparisonOptions as ComparisonOptions
    from evalkit.comparison.records import Comparison as Comparison
    from evalkit.comparison.votes.compare import VoteOptions as VoteOptions
    from evalkit.comparison.votes.compare import compare_votes as compare_votes
    from evalkit.comparison.votes.records import VoteComparison as VoteComparison
    from evalkit.editing.method import Billed as Billed
    from evalkit.editing.method import MethodCard as MethodCard
    from evalkit.editing.method import MethodRun as MethodRun
    from evalkit.editing.method import Setting as Setting
    from evalkit.edits.folder import EditFolder as EditFolder
    from evalkit.edits.item import EditItem as EditItem
    from evalkit.edits.whole_item import WholeItem as WholeItem
    from evalkit.encoders.base import EncoderSpec as EncoderSpec
    from evalkit.encoders.base import LoadedEncoder as LoadedEncoder
    from evalkit.encoders.base import Preprocess as Preprocess
    from evalkit.errors import EvalkitError as EvalkitError
    from evalkit.metrics.base import Metric as Metric
    from evalkit.metrics.base import Scores as Scores
    from evalkit.metrics.features import ItemFeature as ItemFeature
    from evalkit.metrics.features import PairFeature as PairFeature
    from evalkit.metrics.features import VectorFeature as VectorFeature
    from evalkit.planning.plan import power as power
    from evalkit.planning.records import StudyPlan as StudyPlan
    from evalkit.scores.frame import ScoreFrame as ScoreFrame
    from evalkit.scores.run import ScoredRun as ScoredRun
    from evalkit.scores.run import read_run as read_run
    from evalkit.scoring.measure import measure as measure
    from evalkit.scoring.options import ScoreOptions as ScoreOptions
    from evalkit.scoring.score import score as score
    from evalkit.scoring.several import ScoredFolders as ScoredFolders
    from evalkit.scoring.several import score_each as score_each

_PUBLIC = {
    "evalkit.benchmarks.base": ("Benchmark",),
    "evalkit.benchmarks.open": ("open_edits",),
    "evalkit.benchmarks.protocols": ("Protocol", "ProtocolColumn"),
    "evalkit.comparison.compare": ("compare",),
    "evalkit.comparison.options": ("ComparisonOptions",),
    "evalkit.comparison.records": ("Comparison",),
    "evalkit.comparison.votes.compare": ("VoteOptions", "compare_votes"),
    "evalkit.comparison.votes.records": ("VoteComparison",),
    "evalkit.editing.method": ("Billed", "MethodCard", "MethodRun", "Setting"),
    "evalkit.edits.folder": ("EditFolder",),
    "evalkit.edits.item": ("EditItem",),
    "evalkit.edits.whole_item": ("WholeItem",),
    "evalkit.encoders.base": ("EncoderSpec", "LoadedEncoder", "Preprocess"),
    "evalkit.errors": ("EvalkitError",),
    "evalkit.metrics.base": ("Metric", "Scores"),
    "evalkit.metrics.features": ("ItemFeature", "PairFeature", "VectorFeature"),
    "evalkit.planning.plan": ("power",),
    "evalkit.planning.records": ("StudyPlan",),
    "evalkit.scores.frame": ("ScoreFrame",),
    "evalkit.scores.run": ("ScoredRun", "read_run"),
    "evalkit.scoring.measure": ("measure",),
    "evalkit.scoring.options": ("ScoreOptions",),
    "evalkit.scoring.score": ("score",),
    "evalkit.scoring.several": ("ScoredFolders", "score_each"),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has that name
    """A public name, imported."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'evalkit' has no attribute '{name}'")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
