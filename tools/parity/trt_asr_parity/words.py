"""tokens, frames and durations -> words with their frames, by NeMo's rules."""

import unicodedata
from dataclasses import dataclass

from .greedy import Transcript

SPACE_MARK = "\u2581"
# SOURCE: sentencepiece's default unk_surface.
UNKNOWN_TEXT = " \u2047 "


@dataclass
class Word:
    text: str
    start_frame: int
    end_frame: int


class Vocabulary:
    """Pieces by id, from "piece id" lines; a last line `<blk>` is no piece."""

    def __init__(self, lines: list[str]):
        self.pieces = [line.rpartition(" ")[0] for line in lines if line]
        if self.pieces and self.pieces[-1] == "<blk>":
            self.pieces.pop()
        plain = [p for p in self.pieces if not p.startswith((SPACE_MARK, "##")) and not self._framed(p)]
        self.marks = {c for p in plain for c in p if unicodedata.category(c).startswith("P")}

    @staticmethod
    def _framed(piece: str) -> bool:
        return len(piece) > 1 and (piece[0] + piece[-1]) in ("<>", "[]")

    def text(self, ids: list[int]) -> str:
        """As SentencePiece decodes: leading blanks go, byte pieces become characters."""
        out, raw = "", b""
        for piece in (self.pieces[i] for i in ids):
            if len(piece) == 6 and piece.startswith("<0x"):
                raw += bytes([int(piece[3:5], 16)])
                continue
            out, raw = out + raw.decode("utf-8", "replace"), b""
            if piece == "<unk>":
                out += UNKNOWN_TEXT
                continue
            out += (piece[1:] if not out and piece.startswith(SPACE_MARK) else piece).replace(SPACE_MARK, " ")
        return out + raw.decode("utf-8", "replace")


def spans(found: Transcript, rule: str, marks: set[str], texts: list[str]) -> list[tuple[int, int]]:
    """Start and end frame of each token, by the rule of its model."""
    if rule == "ctc":
        return _ctc_spans(found.frames, marks, texts)
    widths = found.durations if rule == "tdt" else [1] * len(found.tokens)
    out: list[tuple[int, int]] = []
    for index, (frame, width) in enumerate(zip(found.frames, widths)):
        # A TDT model may emit a mark long after its word, so the mark gets zero width where the token before it ends.
        late = rule == "tdt" and index and texts[index] in marks
        out.append((out[-1][1], out[-1][1]) if late else (frame, frame + width))
    return out


def _ctc_spans(frames: list[int], marks: set[str], texts: list[str]) -> list[tuple[int, int]]:
    """A CTC label is a spike: NeMo lets it begin where the spike before it was and end at its own."""
    if not frames:
        return []
    starts = [max(0, frames[0] - 1), *frames[:-1]]
    marked = [index > 0 and text[:1] in marks for index, text in enumerate(texts)]
    return [(start, start if mark else end) for start, end, mark in zip(starts, frames, marked)]


class _Builder:
    """Collects the tokens of one word after another."""

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary, self.words, self.ids, self.start = vocabulary, [], [], 0

    def close(self, end: int) -> None:
        if self.ids:
            self.words.append(Word(self.vocabulary.text(self.ids), self.start, end))
        self.ids = []

    def append(self, token: int, start: int) -> None:
        if not self.ids:
            self.start = start
        self.ids.append(token)

    def add_mark(self, token: int, text: str, span: tuple[int, int]) -> None:
        if self.ids:
            if self.vocabulary.pieces[self.ids[-1]] in (SPACE_MARK, "_", " "):
                self.ids.pop()
            self.ids.append(token)
        elif self.words:
            last = self.words[-1]
            last.text, last.end_frame = last.text.removesuffix(" ") + text, span[1]
        else:
            self.append(token, span[0])


def words_of(found: Transcript, rule: str, vocabulary: Vocabulary) -> list[Word]:
    """A token whose text differs from its piece starts a word, unless it is a punctuation mark."""
    texts = [vocabulary.text([token]) for token in found.tokens]
    places, builder = spans(found, rule, vocabulary.marks, texts), _Builder(vocabulary)
    for index, (token, text) in enumerate(zip(found.tokens, texts)):
        mark = text in vocabulary.marks
        if not mark and text != vocabulary.pieces[token]:
            builder.close(places[index - 1][1] if index else 0)
            builder.append(token, places[index][0])
        elif mark:
            builder.add_mark(token, text, places[index])
        else:
            builder.append(token, places[index][0])
    if places:
        builder.close(places[-1][1])
    if builder.words:
        builder.words[0].start_frame = places[0][0]
    return builder.words
