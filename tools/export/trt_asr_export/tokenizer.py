"""The SentencePiece model of a checkpoint -> the vocabulary file of a model folder."""

import sentencepiece

from .errors import ExportError

BLANK = "<blk>"


def load_pieces(content: bytes) -> sentencepiece.SentencePieceProcessor:
    """The tokenizer of the bytes of a tokenizer.model; raises ExportError when they are none."""
    pieces = sentencepiece.SentencePieceProcessor()
    try:
        pieces.LoadFromSerializedProto(content)
        if pieces.get_piece_size() < 1:
            raise RuntimeError("it has no pieces")
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else "unreadable"
        raise ExportError(
            "tokenizer.model_path", "a SentencePiece model", f"none ({reason})", "Get the whole .nemo file again"
        ) from error
    return pieces


def vocabulary_text(pieces: sentencepiece.SentencePieceProcessor) -> str:
    """One line `piece id` for each piece, the blank last."""
    count = pieces.get_piece_size()
    lines = [f"{pieces.id_to_piece(index)} {index}" for index in range(count)]
    return "\n".join([*lines, f"{BLANK} {count}"]) + "\n"
