"""Goldens of text and words, on sequences chosen for their corners: SentencePiece decodes, NeMo finds the words."""

from pathlib import Path

import torch
from nemo.collections.asr.parts.utils.rnnt_utils import Hypothesis
from nemo.collections.asr.parts.utils.timestamp_utils import process_timestamp_outputs

from . import models, oracle
from .transcripts import write_words
from .writer import SetWriter

VOCABULARY = "../../models/tiny-ours/vocab.txt"

# A case is a list of pieces; {XX} stands for the byte piece <0xXX>.
TEXT_CASES = {
    "empty": [],
    "one-word": ["▁the"],
    "words": ["▁the", "▁s", "t", "or", "y", "▁of", "▁the", "▁li", "ght"],
    "no-leading-space": ["he", "▁is"],
    "leading-blank-piece": ["▁", "▁the"],
    "two-leading-blanks": ["▁", "▁", "he"],
    "only-blank-piece": ["▁"],
    "only-two-blanks": ["▁", "▁"],
    "trailing-blank": ["▁the", "▁"],
    "blanks-inside": ["▁on", "▁", "▁", "▁the"],
    "punctuation": ["▁on", "e", ",", "▁", "t", "w", "o", ".", "▁is", "▁it", "?"],
    "space-before-punctuation": ["▁the", "▁", ",", "▁and", "▁", ".", "▁", "!"],
    "two-spaces-before-punctuation": ["▁the", "▁", "▁", ",", "▁and"],
    "punctuation-first": [",", "▁the"],
    "blank-and-punctuation-first": ["▁", ",", "▁the"],
    "apostrophe": ["▁c", "a", "p", "t", "a", "in", "'", "s"],
    "hyphen": ["ü", "b", "er", "-", "r", "i", "p", "e"],
    "accents": ["▁c", "a", "f", "é", "▁s", "e", "ñ", "or", "a"],
    "unknown": ["▁the", "<unk>", "▁is"],
    "unknown-alone": ["<unk>"],
    "unknown-first-and-last": ["<unk>", "▁the", "<unk>"],
    "unknown-twice": ["▁on", "<unk>", "<unk>", "e"],
    "byte-ascii": ["▁the", "{41}", "{42}"],
    "byte-space": ["▁the", "{20}", "he"],
    "byte-space-first": ["{20}", "he"],
    "byte-punctuation-after-space": ["▁the", "▁", "{2C}"],
    "byte-two": ["▁c", "a", "f", "{C3}", "{A9}"],
    "byte-three-euro": ["▁on", "e", "▁", "{E2}", "{82}", "{AC}"],
    "byte-four-emoji": ["▁", "{F0}", "{9F}", "{9A}", "{80}"],
    "byte-cjk-word": ["{E6}", "{97}", "{A5}", "{E6}", "{9C}", "{AC}"],
    "byte-invalid-lone": ["▁the", "{C3}"],
    "byte-invalid-then-text": ["▁the", "{C3}", "▁is"],
    "byte-invalid-continuation": ["{A9}", "{A9}", "he"],
    "byte-invalid-truncated": ["{E2}", "{82}", "he"],
    "byte-truncated-then-ascii": ["{E2}", "{82}", "{41}"],
    "byte-split-by-text": ["{C3}", "t", "{A9}"],
    "byte-overlong": ["{C0}", "{80}"],
    "byte-overlong-three": ["{E0}", "{80}", "{80}"],
    "byte-surrogate": ["{ED}", "{A0}", "{80}"],
    "byte-above-unicode": ["{F4}", "{90}", "{80}", "{80}"],
    "byte-ff": ["{FF}", "{FE}"],
    "byte-nul": ["▁the", "{00}", "he"],
    "byte-bom": ["{EF}", "{BB}", "{BF}", "he"],
    "byte-then-unknown": ["{C3}", "<unk>", "{A9}"],
    "byte-after-leading-blank": ["▁", "{C3}", "{A9}"],
    "byte-newline": ["▁the", "{0A}", "▁is"],
}

# (piece, frame, duration) of each token.
WORD_CASES = {
    "empty": [],
    "one-token": [("▁the", 0, 2)],
    "two-words": [("▁the", 0, 2), ("▁s", 2, 1), ("t", 3, 0), ("or", 3, 4), ("y", 7, 1)],
    "first-word-without-mark": [("he", 3, 1), ("l", 4, 0), ("▁is", 9, 3)],
    "pause-between": [("▁on", 1, 1), ("e", 2, 2), ("▁on", 40, 0), ("e", 40, 3)],
    "same-frame": [("▁the", 5, 0), ("▁is", 5, 0), ("▁of", 5, 0), ("▁on", 5, 1)],
    "full-stop": [("▁the", 0, 2), ("▁is", 4, 3), (".", 20, 4)],
    "comma-then-word": [
        ("▁on", 0, 2),
        ("e", 2, 1),
        (",", 9, 2),
        ("▁t", 12, 1),
        ("w", 13, 1),
        ("o", 14, 1),
        ("!", 15, 1),
    ],
    "two-marks": [("▁is", 0, 2), ("?", 6, 1), ("!", 9, 1), ("▁on", 12, 1)],
    "mark-first": [(".", 2, 1), ("▁the", 4, 2)],
    "mark-alone": [(",", 3, 2)],
    "apostrophe-inside": [("▁it", 0, 2), ("'", 5, 1), ("s", 8, 1), ("▁no", 9, 2)],
    "hyphen-inside": [("▁on", 0, 1), ("-", 4, 2), ("t", 8, 1), ("o", 9, 1)],
    "blank-piece-inside": [("▁the", 0, 1), ("▁", 3, 1), ("t", 4, 1), ("o", 5, 1)],
    "blank-piece-before-mark": [("▁the", 0, 1), ("▁", 3, 1), (",", 6, 1), ("▁is", 8, 1)],
    "blank-pieces-only": [("▁", 0, 1), ("▁", 3, 1)],
    "blank-piece-last": [("▁the", 0, 1), ("▁", 3, 2)],
    "unknown": [("▁the", 0, 1), ("<unk>", 3, 2), ("t", 5, 1), ("▁is", 8, 1)],
    "byte-pieces": [("▁c", 0, 1), ("a", 1, 1), ("f", 2, 1), ("{C3}", 3, 0), ("{A9}", 3, 2), ("▁is", 8, 1)],
    "long-durations": [("▁the", 0, 4), ("▁is", 4, 4), ("▁on", 8, 4), ("e", 12, 4), (".", 16, 4)],
}


def _ids(model, pieces) -> list[int]:
    names = [f"<0x{piece[1:3]}>" if piece.startswith("{") else piece for piece in pieces]
    known = model.tokenizer.tokenizer
    ids = [known.piece_to_id(name) for name in names]
    for name, found in zip(names, ids):
        assert known.id_to_piece(found) == name, f"expected the piece {name} in the vocabulary"
    return ids


def make_text(folder: Path) -> None:
    model = models.build("tiny-ours")
    out = SetWriter(folder, "text", "ids -> text by SentencePiece, and by NeMo, which drops a blank before punctuation")
    out.record("vocabulary", VOCABULARY)
    for name, pieces in TEXT_CASES.items():
        ids = _ids(model, pieces)
        out.ints(name, "ids", ids)
        out.text(name, "sentencepiece", model.tokenizer.tokenizer.decode_ids(ids))
        out.text(name, "nemo", model.decoding.decode_tokens_to_str_with_strip_punctuation(ids))
    out.close()


def make_words(folder: Path) -> None:
    model = models.build("tiny-ours")
    oracle.configure_decoding(model)
    out = SetWriter(folder, "words", "ids, frames and durations -> words by NeMo")
    out.record("vocabulary", VOCABULARY)
    for name, case in WORD_CASES.items():
        ids = _ids(model, [piece for piece, _, _ in case])
        frames, durations = [t for _, t, _ in case], [d for _, _, d in case]
        hypothesis = Hypothesis(0.0, ids, timestamp=torch.tensor(frames), token_duration=torch.tensor(durations))
        hypothesis = model.decoding.decode_hypothesis([hypothesis])[0]
        hypothesis = model.decoding.compute_rnnt_timestamps(hypothesis)
        hypothesis = process_timestamp_outputs(hypothesis, 8, 0.01)[0]
        for kind, values in (("ids", ids), ("frames", frames), ("durations", durations)):
            out.ints(name, kind, values)
        out.text(name, "text", hypothesis.text)
        write_words(out, name, hypothesis.timestamp["word"])
    out.close()
