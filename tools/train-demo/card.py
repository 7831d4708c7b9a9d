"""Writes the model card from what evaluate.py measured, so that no number is typed by hand."""

import argparse
import json
import pathlib

import model as model_module
import speech

ROWS = (
    ('sentences_seen', 'Unseen sentences, voice variants of the training'),
    ('sentences_unseen', 'Unseen sentences, **unseen voice variants**'),
    ('sentences_seen_noisy_10_db', 'The same with noise at 10 dB, seen variants'),
    ('sentences_unseen_noisy_10_db', 'The same with noise at 10 dB, unseen variants'),
    ('sentences_seen_joined_30_s', 'Several of them joined to 25-30 s, seen variants'),
    ('sentences_unseen_joined_30_s', 'Several of them joined to 25-30 s, unseen variants'),
    ('other_accents', 'Unseen sentences in five accents that were not trained, seen variants'),
    ('natural', 'Natural sentences written by hand (`natural.txt`), seen variants'),
    ('common_seen', 'Runs of random everyday words, seen variants'),
    ('common_unseen', 'Runs of random everyday words, unseen variants'),
    ('dictionary_seen', 'Runs of rare words of a spelling dictionary, seen variants'),
    ('dictionary_unseen', 'Runs of rare words of a spelling dictionary, unseen variants'),
)

TEXT = '''# demo-en

A small FastConformer-TDT model for English. It ships with the package so that the first command transcribes something on
any machine. Its architecture is that of the large Parakeet-TDT models (8x subsampling, relative positions, token-and-duration
transducer), at {parameters_m:.1f} million parameters.

**It knows synthetic voices only.** It was trained on espeak-ng speech and has never heard a human being. Human speech gives
wrong words. For real audio use a Parakeet model.

## Results

Word error rates of this very folder (fp32, ONNX Runtime, greedy). *Normalised*: lower case, no punctuation. *Raw*: case and
punctuation count as errors. *Exact*: share of clips right to the letter.

| Test | Clips | Minutes | WER normalised | WER raw | Exact |
|---|--:|--:|--:|--:|--:|
{table}

- Clips without speech (digital silence, last-bit noise, white, pink and brown noise): {empty} of {silences} give empty text.
- NeMo's own greedy decode gives the same tokens on {same} of {compared} clips.
- A padded batch of ragged lengths differs from single runs by at most {ragged:.1e} in the encoder's output.
- The files in `examples/`: {examples}.

The sentences of all tests are disjoint from the training sentences of all stages. The sentences of the first seven rows come from the grammar that made
most of the training text, so nearly all their words were heard in training; the natural sentences show what other wording does, the random
words what is left without any context. Both noisy rows mix white, pink and brown noise and the babble of other clips.

## Data

{hours:.1f} hours ({sentences:,} sentences, {words:,} distinct words) of speech by espeak-ng 1.51: the accents {accents} in {seen} voice
variants, 115-215 words a minute, pitch 25-75. Held out entirely: the variants {unseen}. The text is
generated: a weighted grammar over our own lexicon ({grammar:.0%}), runs of random words of it ({common:.0%}), runs of random dictionary words ({dictionary:.0%}); homophones
are left out of the random runs. On the fly: noise at 5-40 dB on about half, gain, silence around, joined clips with pauses up to
30 s (a fifth of the batches), clips without speech (empty text).

## Training

{parameters:,} parameters: 128 mel bins, {layers} Conformer layers of width {width}, 4 heads, convolution kernel 9, predictor LSTM 2 x {width}, joint {width}, {vocabulary}
SentencePiece BPE pieces, durations 0-4. NeMo 2.7.3 modules, TDT loss (sigma 0.05) with an auxiliary CTC head (dropped at
export), AdamW, cosine over the time, exponential average of the weights. {steps:,} steps, {heard:.0f} hours of audio heard, {training}
Seeds: corpus {corpus_seed}, training 11. How to make it again: `tools/train-demo/README.md`. Training stops by the clock, so
another machine gives other weights of about this quality.

## Limits

- Synthetic English voices of the accents above only; one language; numbers come as words ("forty two"); punctuation is `.`, `,` and `?`.
- At most {frames_max} encoder frames, {seconds_max} s, at a time: longer audio has to be cut into windows.
- Rare words are spelled by ear; words that sound alike are told apart only by habit.

## Licence

Apache-2.0. The weights were trained from scratch on generated text and synthetic speech; nothing was taken from another model or data set.
'''


def table(report):
    lines = []
    for name, title in ROWS:
        row = report[name]
        lines.append(f"| {title} | {row['clips']} | {row['minutes']} | {row['wer']:.1%} | {row['wer_raw']:.1%} | {row['exact']:.0%} |")
    return '\n'.join(lines)


def examples_line(examples):
    parts = [f'`{name}` exact' if row['exact'] else f"`{name}` {row['wer']:.1%} normalised, {row['wer_raw']:.1%} raw" for name, row in examples.items()]
    return '; '.join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--report', type=pathlib.Path, required=True)
    parser.add_argument('--model', type=pathlib.Path, required=True)
    parser.add_argument('--corpus', type=pathlib.Path, required=True)
    parser.add_argument('--training', required=True, help='how long on what, a sentence')
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text())['report']
    contract = json.loads((arguments.model / 'contract.json').read_text())
    index = json.loads((arguments.corpus / 'train.json').read_text())
    distinct = {word.strip('.,?').lower() for row in index for word in row['text'].split()}
    frames_max = contract['encoder']['frames_max']
    card = TEXT.format(
        table=table(report), parameters=report['parameters'], parameters_m=report['parameters'] / 1e6, empty=report['no_speech']['empty_text'],
        silences=report['no_speech']['clips'], same=report['compared_with_nemo'] - report['tokens_unlike_nemo'],
        compared=report['compared_with_nemo'], ragged=report['ragged_batch_difference'], examples=examples_line(report['examples']),
        hours=sum(row['samples'] for row in index) / speech.SAMPLE_RATE_HZ / 3600, sentences=len(index), words=len(distinct),
        accents=' and '.join(dict.fromkeys(speech.ACCENTS)), **dict(speech.KINDS), seen=len(set(speech.SEEN_VARIANTS)), unseen=', '.join(speech.UNSEEN_VARIANTS),
        layers=model_module.LAYERS, width=model_module.WIDTH, vocabulary=contract['tokenizer']['vocabulary'], steps=report['training']['step'],
        heard=report['training']['hours_heard'], training=arguments.training, corpus_seed=20261121, frames_max=frames_max,
        seconds_max=frames_max * 8 * contract['features']['hop_samples'] // contract['features']['sample_rate_hz'])
    (arguments.model / 'README.md').write_text(card, encoding='utf-8')


if __name__ == '__main__':
    main()
