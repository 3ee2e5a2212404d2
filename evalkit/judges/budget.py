"""What a command may spend on judges: no answer is asked for that could go beyond it."""

import re
import threading
from dataclasses import dataclass

from evalkit.errors import BudgetSpentError, OptionError
from evalkit.judges.base import JudgeAnswer

_UNITS = {"": "money", "tokens": "tokens", "answers": "answers"}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")


@dataclass
class Budget:
    """An amount, and what is spent of it by answers that were asked for.

    The first answer is asked for alone. After it, so many are in hand at the same time that, were each as dear as the
    dearest so far, the amount would suffice.
    """

    amount: float
    unit: str
    """``money``, ``tokens`` or ``answers``."""
    currency: str = "USD"

    def __post_init__(self) -> None:
        self.spent = 0.0
        self._dearest: float | None = None
        self._in_hand = 0
        self._changed = threading.Condition()

    @classmethod
    def read(cls, text: str, currency: str) -> "Budget":
        """The budget that a user typed: ``2.50`` in the currency, ``100000tokens`` or ``50answers``.

        Raises:
            OptionError: It is neither.
        """
        found = _WRITTEN.fullmatch(text.strip())
        unit = found and ("" if found[2] == currency else found[2].lower())
        if not found or unit not in _UNITS:
            raise OptionError(f"Budget: expected such as 2.50 ({currency}), 100000tokens or 50answers, got '{text}'.")
        return cls(float(found[1]), _UNITS[str(unit)], currency)

    def reserve(self) -> None:
        """Waits until another answer may be asked for.

        Raises:
            BudgetSpentError: It may not, whatever those in hand will cost.
        """
        with self._changed:
            while True:
                dearest = 1.0 if self.unit == "answers" else self._dearest
                expected = self.spent + (self._in_hand + 1) * (dearest or 0.0)
                if self.spent >= self.amount or (dearest is not None and self.spent + dearest > self.amount):
                    raise BudgetSpentError(f"The budget of {self.shown(self.amount)} is spent")
                if expected <= self.amount and not (dearest is None and self._in_hand):
                    self._in_hand += 1
                    return
                self._changed.wait()

    def settle(self, answer: JudgeAnswer | None) -> None:
        """Counts an answer that was asked for, or None where there is none.

        Raises:
            OptionError: What it cost is not known.
        """
        cost = None if answer is None else self._cost(answer)
        with self._changed:
            self._in_hand -= 1
            if cost is not None:
                self.spent += cost
                self._dearest = max(self._dearest or 0.0, cost)
            self._changed.notify_all()
        if cost is None and answer is not None and answer.finish != "refusal":
            prices = "set prices per million tokens: --judge-set price_input=… --judge-set price_output=…, or "
            raise OptionError(
                f"The judge does not say what an answer costs in {self._of}, so that no budget can be kept: "
                f"{prices if self.unit == 'money' else ''}count answers: --budget 500answers"
            )

    def shown(self, amount: float) -> str:
        """An amount with its unit."""
        return f"{amount:g} {self._of}"

    @property
    def _of(self) -> str:
        return self.currency if self.unit == "money" else self.unit

    def _cost(self, answer: JudgeAnswer) -> float | None:
        if self.unit == "answers":
            return 1.0
        if self.unit == "money":
            return answer.cost
        counts = (answer.input_tokens, answer.output_tokens)
        return None if None in counts else float(sum(count for count in counts if count is not None))
