"""Word error rate, and NeMo's own decode of a model or a checkpoint."""

import logging
import re

import torch

import model as model_module


def new_model(tokenizer_folder, vocabulary, streaming=False):
    """EncDecRNNTBPEModel with fresh weights; NeMo's own loss, which refuses a CPU, is never called."""
    logging.getLogger('nemo_logger').setLevel(logging.ERROR)
    from nemo.collections.asr.models import EncDecRNNTBPEModel
    model = EncDecRNNTBPEModel(cfg=model_module.configuration(tokenizer_folder, vocabulary, streaming), trainer=None)
    assert model.tokenizer.tokenizer.get_piece_size() == vocabulary
    return model


def normalised(text):
    """Lower case without punctuation."""
    return ' '.join(re.sub(r'[.,?]', ' ', text.lower()).split())


def edit_distance(left, right):
    row = list(range(len(right) + 1))
    for number, item in enumerate(left, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(right, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (item != other))
    return row[-1]


def word_error_rate(truths, guesses):
    """Errors per true word."""
    assert len(truths) == len(guesses)
    errors = sum(edit_distance(truth.split(), guess.split()) for truth, guess in zip(truths, guesses))
    return errors / max(1, sum(len(truth.split()) for truth in truths))


def both_rates(truths, guesses):
    """{'wer': normalised, 'wer_raw': with case and punctuation, 'exact': share of texts that are right to the letter}."""
    return {'wer': round(word_error_rate([normalised(text) for text in truths], [normalised(text) for text in guesses]), 4),
            'wer_raw': round(word_error_rate(truths, guesses), 4),
            'exact': round(sum(truth == guess for truth, guess in zip(truths, guesses)) / max(1, len(truths)), 3)}


@torch.no_grad()
def nemo_hypotheses(model, audios, batch=16):
    """NeMo's greedy_batch hypotheses of float32 clips at 16 kHz, in the order given."""
    model.eval()
    hypotheses = [None] * len(audios)
    order = sorted(range(len(audios)), key=lambda item: len(audios[item]))
    for start in range(0, len(order), batch):
        items = order[start:start + batch]
        lengths = torch.tensor([len(audios[item]) for item in items])
        signal = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(audios[item]) for item in items], batch_first=True)
        features, feature_lengths = model.preprocessor(input_signal=signal, length=lengths)
        encoded, encoded_lengths = model.encoder(audio_signal=features, length=feature_lengths)
        found = model.decoding.rnnt_decoder_predictions_tensor(encoder_output=encoded, encoded_lengths=encoded_lengths, return_hypotheses=True)
        for item, hypothesis in zip(items, found):
            hypotheses[item] = hypothesis
    return hypotheses


def quick(model, average, clips):
    """Rates of the averaged weights on a split's clean clips, single and joined; the model keeps its own weights."""
    own = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average)
    audios = [clips.audio(item) for item in range(len(clips))]
    truths = [clips.text(item) for item in range(len(clips))]
    guesses = [hypothesis.text for hypothesis in nemo_hypotheses(model, audios)]
    pairs = list(zip(truths, guesses))
    report = both_rates(truths, guesses)
    for kind in ('grammar', 'common', 'dictionary'):
        chosen = [pair for pair, row in zip(pairs, clips.index) if row['kind'] == kind]
        report[kind] = both_rates(*zip(*chosen))['wer']
    report['examples'] = pairs[:4]
    model.load_state_dict(own)
    return report
