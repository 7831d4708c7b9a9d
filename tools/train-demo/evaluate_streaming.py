"""Measures a streaming folder chunk by chunk, beside the offline one: the same clips, the same plain greedy TDT loop, caches going round."""

import argparse
import json
import logging
import pathlib

import numpy as np
import torch

import evaluate
import export
import measure
import speech

JOINED_CLIPS = 24
MINUTE_CLIPS = 8
MINUTE_PARTS = 3
NOISE_DB = 10.0
SEED = 77
# WHY: NeMo decodes slowly without a GPU, and a clip's tokens are alike or not whatever it holds.
COMPARED = ('sentences_seen', 'sentences_unseen')


class StreamingModel(evaluate.OnnxModel):
    """The streaming graph of a folder in a closed loop: encode() cuts one signal's features into chunks as the contract says."""

    def chunks(self, features_MT):
        """(input of the graph, its valid frames) of each chunk; the last chunk is shorter."""
        numbers, begin, total = self.contract['streaming'], 0, features_MT.shape[1]
        before, extent = numbers['pre_encode_frames']['next'], numbers['pre_encode_frames']['next'] + numbers['chunk_frames']['next']
        while begin < total:
            which = 'next' if begin else 'first'
            given = features_MT[:, max(begin - before, 0):begin + numbers['chunk_frames'][which]]
            padding = max(before - begin, 0) if begin else numbers['first_padding_frames']
            call = np.zeros((1, len(features_MT), extent), np.float32)
            call[0, :, padding:padding + given.shape[1]] = given
            yield call, padding + given.shape[1]
            begin += numbers['shift_frames'][which]

    def encode(self, features_1MT, lengths_1):
        ports = self.contract['streaming']['inputs']
        caches = [np.zeros([1 if extent == 'B' else extent for extent in port['shape']], np.int64 if port['dtype'] == 'i64' else np.float32)
                  for port in ports[2:]]
        encoded = []
        for call, length in self.chunks(features_1MT[0, :, :int(lengths_1[0])]):
            inputs = dict(zip([port['name'] for port in ports], [call, np.array([length]), *caches]))
            frames, count, *caches = self.encoder.run(None, inputs)
            encoded.append(frames[0, :int(count[0])])
        encoded_TD = np.concatenate(encoded)
        return encoded_TD[None], np.array([len(encoded_TD)])


class Side:
    """One of the two folders, with NeMo's model of it for features and for comparison."""

    def __init__(self, folder, run, streaming):
        self.onnx = (StreamingModel if streaming else evaluate.OnnxModel)(folder)
        self.model, self.state = export.load(run / 'last.pt', run / 'tokenizer', streaming)
        self.compared, self.unlike = 0, 0

    @torch.no_grad()
    def text(self, audio, compare):
        """The text by ONNX Runtime; with `compare`, counts the clip when NeMo's decode of the whole clip finds other tokens."""
        features, lengths = self.model.preprocessor(input_signal=torch.from_numpy(audio)[None], length=torch.tensor([len(audio)]))
        encoded, counts = self.onnx.encode(features.numpy()[:, :, :int(lengths[0])], lengths.numpy().astype(np.int64))
        tokens, _ = self.onnx.greedy(encoded[0, :int(counts[0])])
        if compare:
            hypothesis = measure.nemo_hypotheses(self.model, [audio])[0]
            self.compared += 1
            self.unlike += tokens != [int(token) for token in hypothesis.y_sequence]
        return self.onnx.text(tokens)


def minutes(pairs):
    """Joined clips put together to more than a minute, [(audio, text)]."""
    joined = []
    for start in range(0, len(pairs) - MINUTE_PARTS + 1, MINUTE_PARTS):
        audios, texts = zip(*pairs[start:start + MINUTE_PARTS])
        joined.append((np.concatenate(audios), ' '.join(texts)))
    return joined


def tests(corpus, heard, clips_max, joined_max):
    """(name, [(audio, text)]) of the sentences that are not `heard`: at most `clips_max` alone and with noise; joined, and joined to a minute and more."""
    for voices in ('seen', 'unseen'):
        clips = evaluate.unheard(corpus / f'sentences_{voices}', heard)
        augmenter = speech.Augmenter(clips, SEED)
        pairs = [(clips.audio(item), clips.text(item)) for item in range(min(len(clips), clips_max))]
        yield f'sentences_{voices}', pairs
        yield f'sentences_{voices}_noisy_10_db', [(augmenter.with_noise(audio, NOISE_DB), text) for audio, text in pairs]
        joined = evaluate.joined_clips(clips, SEED, joined_max)
        yield f'sentences_{voices}_joined_30_s', joined
        yield f'sentences_{voices}_joined_minute', minutes(joined)[:MINUTE_CLIPS]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for side in ('', 'offline-'):
        parser.add_argument(f'--{side}run', type=pathlib.Path, required=True)
        parser.add_argument(f'--{side}model', type=pathlib.Path, required=True)
    parser.add_argument('--corpus', type=pathlib.Path, required=True)
    parser.add_argument('--heard', type=pathlib.Path, help='train.json of an earlier corpus that the weights heard too')
    parser.add_argument('--out', type=pathlib.Path, required=True)
    parser.add_argument('--clips', type=int, default=10 ** 9, help='sentences of each set; by default all')
    parser.add_argument('--joined', type=int, default=JOINED_CLIPS, help='joined clips of each set')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    streaming, offline = Side(arguments.model, arguments.run, True), Side(arguments.offline_model, arguments.offline_run, False)
    logging.getLogger('nemo_logger').setLevel(logging.ERROR)
    heard = {row['text'].lower() for row in json.loads(arguments.heard.read_text())} if arguments.heard else set()
    report = {}
    for name, pairs in tests(arguments.corpus, heard, arguments.clips, arguments.joined):
        audios, truths = zip(*pairs)
        report[name] = {'clips': len(pairs), 'minutes': round(sum(map(len, audios)) / speech.SAMPLE_RATE_HZ / 60, 1)}
        report[name]['streaming'] = measure.both_rates(truths, [streaming.text(audio, name in COMPARED) for audio in audios])
        # The offline model hears no more than its table of positions at once.
        if not name.endswith('minute'):
            report[name]['offline'] = measure.both_rates(truths, [offline.text(audio, False) for audio in audios])
        print(name, json.dumps(report[name]), flush=True)
    state = {name: value for name, value in streaming.state.items() if name != 'examples'}
    parameters = sum(value.numel() for value in streaming.model.parameters())
    report = {'tests': report, 'compared_with_nemo': streaming.compared, 'tokens_unlike_nemo': streaming.unlike, 'parameters': parameters, 'training': state}
    arguments.out.write_text(json.dumps(report, indent=1))


if __name__ == '__main__':
    main()
