"""What every side shares: its contract, and the decoding that our runtime does."""

import numpy as np

from .. import greedy, words
from ..streaming import StreamPlan


class Side:
    """A side of ours. NeMo's overrides what NeMo does itself: decode and words."""

    def __init__(self, contract: dict, vocabulary: words.Vocabulary):
        self.contract, self.vocabulary = contract, vocabulary
        self.plan = StreamPlan.of(contract) if "streaming" in contract else None

    def decode(self, rows: list[np.ndarray]) -> list[greedy.Transcript]:
        """Each encoded_TD alone: with fp32 graphs a batch changes no token."""
        return [greedy.decode(self, self.contract, encoded) for encoded in rows]

    def words(self, found: greedy.Transcript) -> list[words.Word]:
        return words.words_of(found, self.contract["decode"]["rule"], self.vocabulary)
