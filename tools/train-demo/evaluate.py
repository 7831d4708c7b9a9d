"""Measures the exported folder: a plain ONNX Runtime greedy TDT loop against the truth and against NeMo's own decode."""

import argparse
import dataclasses
import json
import logging
import pathlib
import random
import subprocess

import numpy as np
import onnxruntime
import torch

import measure
import speech

NATURAL = pathlib.Path(__file__).parent / 'natural.txt'
OTHER_ACCENTS = ('en-gb-scotland', 'en-gb-x-rp', 'en-gb-x-gbclan', 'en-gb-x-gbcwmd', 'en-029')
OTHER_ACCENT_CLIPS = 150
JOINED_CLIPS = 24
SILENCES = 60
TOLERANCE = 1e-4


class OnnxModel:
    """The three graphs of a model folder and NeMo's greedy_batch semantics for one utterance."""

    def __init__(self, folder, threads=1):
        folder = pathlib.Path(folder)
        self.contract = json.loads((folder / 'contract.json').read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        encoder = self.contract['encoder'].get('file') or self.contract['streaming']['file']
        self.encoder, self.predictor, self.joint = (
            onnxruntime.InferenceSession(str(folder / file), options) for file in (encoder, 'predictor.onnx', 'joint.onnx'))
        lines = (folder / 'vocab.txt').read_text(encoding='utf-8').splitlines()
        self.pieces = [line.rsplit(' ', 1)[0] for line in lines]

    def encode(self, features_BMT, lengths_B):
        return self.encoder.run(None, {'features': features_BMT, 'lengths': lengths_B})

    def predict(self, token, state):
        predicted, h, c = self.predictor.run(None, {'token': np.array([[token]], np.int32), 'state_h': state[0], 'state_c': state[1]})
        return predicted, (h, c)

    def greedy(self, encoded_TD):
        """Tokens, and the frame of each, of one utterance's encoder frames."""
        decode, shape = self.contract['decode'], self.contract['predictor']
        blank, durations = decode['blank_id'], decode['durations']
        zero = np.zeros((shape['layers'], 1, shape['width']), np.float32)
        predicted, state = self.predict(blank, (zero, zero))
        tokens, frames, frame, symbols = [], [], 0, 0
        while frame < len(encoded_TD):
            logits = self.joint.run(None, {'encoded': encoded_TD[None, frame:frame + 1], 'predicted': predicted})[0][0]
            label, duration = int(np.argmax(logits[:blank + 1])), durations[int(np.argmax(logits[blank + 1:]))]
            if label == blank:
                frame, symbols = frame + max(duration, 1), 0
                continue
            tokens.append(label)
            frames.append(frame)
            predicted, state = self.predict(label, state)
            symbols = symbols + 1 if duration == 0 else 0
            frame += duration
            if symbols == decode['max_symbols_per_frame']:
                frame, symbols = frame + 1, 0
        return tokens, frames

    def text(self, tokens):
        return ''.join(self.pieces[token] for token in tokens).replace('▁', ' ').strip()


class Bench:
    """Runs clips through the exported graphs and through NeMo and compares."""

    def __init__(self, folder, model):
        self.onnx, self.model = OnnxModel(folder), model
        self.compared, self.unlike = 0, 0

    @torch.no_grad()
    def features(self, audio):
        features, lengths = self.model.preprocessor(input_signal=torch.from_numpy(audio)[None], length=torch.tensor([len(audio)]))
        return features.numpy()[:, :, :int(lengths[0])], lengths.numpy()

    def transcripts(self, audios):
        """Texts by the ONNX loop; counts those whose tokens NeMo's own decode does not repeat."""
        texts = []
        hypotheses = measure.nemo_hypotheses(self.model, audios)
        for audio, hypothesis in zip(audios, hypotheses):
            features, lengths = self.features(audio)
            encoded, encoded_lengths = self.onnx.encode(features, lengths.astype(np.int64))
            assert int(encoded_lengths[0]) == -(-int(lengths[0]) // 8), f'{encoded_lengths} frames of {lengths}'
            tokens, _ = self.onnx.greedy(encoded[0, :int(encoded_lengths[0])])
            self.compared += 1
            self.unlike += tokens != [int(token) for token in hypothesis.y_sequence]
            texts.append(self.onnx.text(tokens))
        return texts

    def ragged_difference(self, audios):
        """Largest difference between an encoder run of one clip and its row of a padded batch."""
        rows = [self.features(audio) for audio in audios]
        longest = max(int(lengths[0]) for _, lengths in rows)
        batch = np.zeros((len(rows), rows[0][0].shape[1], longest), np.float32)
        for number, (features, lengths) in enumerate(rows):
            batch[number, :, :int(lengths[0])] = features[0]
        together, counts = self.onnx.encode(batch, np.array([int(lengths[0]) for _, lengths in rows]))
        worst = 0.0
        for number, (features, lengths) in enumerate(rows):
            alone, alone_count = self.onnx.encode(features, lengths.astype(np.int64))
            assert int(alone_count[0]) == int(counts[number])
            worst = max(worst, float(np.abs(alone[0] - together[number, :int(counts[number])]).max()))
        return worst


def natural_clips(seed):
    """[(audio, text)] of natural.txt in seen voice variants."""
    rng = random.Random(seed)
    lines = NATURAL.read_text(encoding='utf-8').splitlines()
    return [(speech.speak(line, speech.random_voice(rng, speech.SEEN_VARIANTS)).astype(np.float32) / speech.INT16_FULL_SCALE, line) for line in lines]


def other_accent_clips(clips, seed):
    """[(audio, text)] of unseen sentences in accents that the training never had and seen voice variants."""
    rng = random.Random(seed)
    pairs = []
    for item in range(OTHER_ACCENT_CLIPS):
        voice = dataclasses.replace(speech.random_voice(rng, speech.SEEN_VARIANTS), accent=rng.choice(OTHER_ACCENTS))
        pairs.append((speech.speak(clips.text(item), voice).astype(np.float32) / speech.INT16_FULL_SCALE, clips.text(item)))
    return pairs


def joined_clips(clips, seed, count):
    """[(audio, text)] of 25 to 30 s, each of several unseen sentences in random voices of the split, without noise."""
    augmenter = speech.Augmenter(clips, seed)
    augmenter.finish = lambda audio: audio
    rng = np.random.default_rng(seed)
    return [augmenter.joined(rng.integers(0, len(clips), 24), 30.0) for _ in range(count)]


def decoded(path):
    """float32 mono at 16 kHz of any file ffmpeg reads."""
    command = ['ffmpeg', '-v', 'error', '-i', str(path), '-ac', '1', '-ar', str(speech.SAMPLE_RATE_HZ), '-f', 'f32le', '-']
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, dtype=np.float32)


def cut_at_pauses(audio, seconds_max=30.0):
    """Windows of at most `seconds_max`, each cut in the quietest half second of its last ten."""
    windows, rate_hz = [], speech.SAMPLE_RATE_HZ
    while len(audio) > seconds_max * rate_hz:
        late = audio[int((seconds_max - 10) * rate_hz):int(seconds_max * rate_hz)]
        energy = np.convolve(np.square(late), np.ones(rate_hz // 2), mode='valid')
        cut = int((seconds_max - 10) * rate_hz) + int(np.argmin(energy)) + rate_hz // 4
        windows.append(audio[:cut])
        audio = audio[cut:]
    return [*windows, audio]


def example_transcripts(bench, folder):
    """{file: {truth, text, exact, wer}} of a folder of examples; a long file goes through in windows."""
    results = {}
    for truth_path in sorted(folder.glob('*.txt')):
        path = next(path for path in folder.iterdir() if path.stem == truth_path.stem and path.suffix != '.txt')
        truth = truth_path.read_text(encoding='utf-8').strip()
        text = ' '.join(bench.transcripts([window.copy() for window in cut_at_pauses(decoded(path))]))
        rates = measure.both_rates([truth], [text])
        results[path.name] = {'truth': truth, 'text': text, 'exact': truth == text, 'wer': rates['wer'], 'wer_raw': rates['wer_raw']}
    return results


def unheard(path, heard):
    """A split without the clips whose sentence is in the set `heard`, in lower case."""
    clips = speech.Clips(path)
    clips.index = [row for row in clips.index if row['text'].lower() not in heard]
    return clips


def evaluate(bench, corpus, heard, seed=77):
    """Rates by test. `heard`: sentences of earlier training stages, which no test may hold."""
    report = {}

    def add(name, pairs):
        audios, truths = zip(*pairs)
        guesses = bench.transcripts(list(audios))
        report[name] = {'clips': len(pairs), 'minutes': round(sum(map(len, audios)) / speech.SAMPLE_RATE_HZ / 60, 1)}
        report[name] |= measure.both_rates(truths, guesses)
        print(name, json.dumps(report[name]), flush=True)
        return list(zip(truths, guesses))

    shown = {}
    for voices in ('seen', 'unseen'):
        clips = unheard(corpus / f'sentences_{voices}', heard)
        augmenter = speech.Augmenter(clips, seed)
        pairs = [(clips.audio(item), clips.text(item)) for item in range(len(clips))]
        shown[voices] = add(f'sentences_{voices}', pairs)
        shown[voices + '_noisy'] = add(f'sentences_{voices}_noisy_10_db', [(augmenter.with_noise(audio, 10.0), text) for audio, text in pairs])
        shown[voices + '_joined'] = add(f'sentences_{voices}_joined_30_s', joined_clips(clips, seed, JOINED_CLIPS))
        mixed = unheard(corpus / f'test_{voices}', heard)
        for kind in ('common', 'dictionary'):
            chosen = [item for item in range(len(mixed)) if mixed.index[item]['kind'] == kind]
            shown[f'{kind}_{voices}'] = add(f'{kind}_{voices}', [(mixed.audio(item), mixed.text(item)) for item in chosen])
    shown['other_accents'] = add('other_accents', other_accent_clips(unheard(corpus / 'sentences_seen', heard), seed))
    shown['natural'] = add('natural', natural_clips(seed))
    silent = speech.Augmenter(speech.Clips(corpus / 'valid'), seed + 1)
    texts = bench.transcripts([silent.empty() for _ in range(SILENCES)])
    report['no_speech'] = {'clips': SILENCES, 'empty_text': sum(text == '' for text in texts), 'texts': [text for text in texts if text]}
    return report, shown


def main():
    import export
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=pathlib.Path, required=True)
    parser.add_argument('--model', type=pathlib.Path, required=True)
    parser.add_argument('--corpus', type=pathlib.Path, required=True)
    parser.add_argument('--heard', type=pathlib.Path, help='train.json of an earlier corpus that the weights heard too')
    parser.add_argument('--examples', type=pathlib.Path, required=True)
    parser.add_argument('--out', type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    model, state = export.load(arguments.run / 'last.pt', arguments.run / 'tokenizer')
    state.pop('examples')
    logging.getLogger('nemo_logger').setLevel(logging.ERROR)
    bench = Bench(arguments.model, model)
    clips = speech.Clips(arguments.corpus / 'sentences_seen')
    ragged = bench.ragged_difference([clips.audio(item) for item in range(12)])
    assert ragged <= TOLERANCE, f'a padded batch differs from singles by {ragged}'
    heard = {row['text'].lower() for row in json.loads(arguments.heard.read_text())} if arguments.heard else set()
    report, shown = evaluate(bench, arguments.corpus, heard)
    report['examples'] = example_transcripts(bench, arguments.examples)
    report['parameters'] = sum(value.numel() for value in model.parameters())
    report |= {'ragged_batch_difference': ragged, 'compared_with_nemo': bench.compared, 'tokens_unlike_nemo': bench.unlike, 'training': state}
    arguments.out.write_text(json.dumps({'report': report, 'transcripts': shown}, indent=1, ensure_ascii=False))
    print(json.dumps({key: report[key] for key in ('no_speech', 'examples', 'ragged_batch_difference', 'compared_with_nemo', 'tokens_unlike_nemo')}))


if __name__ == '__main__':
    main()
