"""Writes the streaming model's card from what evaluate_streaming.py measured, so that no number is typed by hand."""

import argparse
import json
import pathlib

ROWS = (
    ('sentences_seen', 'Unseen sentences, voice variants of the training'),
    ('sentences_unseen', 'Unseen sentences, **unseen voice variants**'),
    ('sentences_seen_noisy_10_db', 'The same with noise at 10 dB, seen variants'),
    ('sentences_unseen_noisy_10_db', 'The same with noise at 10 dB, unseen variants'),
    ('sentences_seen_joined_30_s', 'Several of them joined to 25-30 s, seen variants'),
    ('sentences_unseen_joined_30_s', 'Several of them joined to 25-30 s, unseen variants'),
    ('sentences_seen_joined_minute', 'Joined to more than a minute, seen variants'),
    ('sentences_unseen_joined_minute', 'Joined to more than a minute, unseen variants'),
)

TEXT = '''# demo-en-streaming

The cache-aware streaming sibling of [demo-en](../demo-en/README.md): a FastConformer-TDT of {parameters_m:.1f} million parameters for English that hears audio in
chunks of {chunk_ms} ms and never revises what it said. Convolutions and subsampling look back only, a frame attends to its own chunk and the {context_s:.1f} s
before it, and the features are not normalised. The folder holds the streaming graph alone: there is none for whole utterances.

**It knows synthetic voices only**, as demo-en does. For real audio use a Parakeet or FastConformer model.

## Results

Word error rates of this very folder (fp32, ONNX Runtime, greedy), chunk by chunk with the caches going round, beside those of `models/demo-en` on the
same clips. *Normalised*: lower case, no punctuation. *Exact*: share of clips right to the letter.

| Test | Clips | Minutes | WER normalised | WER raw | Exact | demo-en: WER normalised | WER raw |
|---|--:|--:|--:|--:|--:|--:|--:|
{table}

- NeMo's decode of the whole clip at once gives the same tokens on {same} of {compared} clips.
- demo-en hears at most 32 s at once; this model has no such limit.

## Data and training

The data are those of demo-en, text and voices of all tests as described there. {parameters:,} parameters; NeMo 2.7.3 modules,
`causal_downsampling`, `conv_context_size` causal, `att_context_style` chunked_limited with [{left}, {right}]. It began from the
weights of demo-en; {steps:,} steps, {hours:.0f} hours of audio heard, {training}
How to make it again: `tools/train-demo/README.md`.

## Licence

Apache-2.0. The weights were trained from scratch on generated text and synthetic speech; nothing was taken from another model or data set.
'''


def row(title, result):
    streaming, offline = result['streaming'], result.get('offline')
    beside = f"{offline['wer']:.1%} | {offline['wer_raw']:.1%}" if offline else '- | -'
    own = f"{streaming['wer']:.1%} | {streaming['wer_raw']:.1%} | {streaming['exact']:.0%}"
    return f"| {title} | {result['clips']} | {result['minutes']} | {own} | {beside} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--report', type=pathlib.Path, required=True)
    parser.add_argument('--model', type=pathlib.Path, required=True)
    parser.add_argument('--training', required=True, help='how long on what, a sentence')
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text())
    contract = json.loads((arguments.model / 'contract.json').read_text())
    (left, right), frame_ms = contract['streaming']['attention_context'], contract['timebase']['frame_ms']
    card = TEXT.format(
        table='\n'.join(row(title, report['tests'][name]) for name, title in ROWS), parameters=report['parameters'],
        parameters_m=report['parameters'] / 1e6, chunk_ms=contract['streaming']['output_frames'] * frame_ms, context_s=left * frame_ms / 1000, left=left,
        right=right, same=report['compared_with_nemo'] - report['tokens_unlike_nemo'], compared=report['compared_with_nemo'],
        steps=report['training']['step'], hours=report['training']['hours_heard'], training=arguments.training)
    (arguments.model / 'README.md').write_text(card, encoding='utf-8')


if __name__ == '__main__':
    main()
