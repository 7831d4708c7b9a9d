"""A held-back set of the corpus as files: 0001.wav beside 0001.txt, for benchmarks that read folders."""

import argparse
import pathlib
import wave

import numpy as np

import speech


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--corpus', type=pathlib.Path, required=True)
    parser.add_argument('--set', required=True, help='test_seen, test_unseen, sentences_seen or sentences_unseen')
    parser.add_argument('--out', type=pathlib.Path, required=True)
    parser.add_argument('--count', type=int, default=200)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    clips = speech.Clips(arguments.corpus / arguments.set)
    for number, item in enumerate(range(min(arguments.count, len(clips))), start=1):
        pcm = np.clip(np.round(clips.audio(item) * speech.INT16_FULL_SCALE), -32768, 32767).astype('<i2')
        with wave.open(str(arguments.out / f'{number:04}.wav'), 'wb') as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(speech.SAMPLE_RATE_HZ)
            file.writeframes(pcm.tobytes())
        (arguments.out / f'{number:04}.txt').write_text(clips.text(item) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
