"""Speaks the files of examples/. Their sentences are checked against the training text: none may be in it."""

import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
import soundfile

import speech

EXAMPLES = {
    'welcome.wav': ('Welcome to the speech recognition laboratory.', speech.Voice('en-gb', 'f2', 150, 50, 100)),
    'weather.flac': ('Good evening, the weather will be sunny and warm in London this weekend.', speech.Voice('en-gb', 'f2', 160, 55, 100)),
    'question.mp3': ('When will the train from Paris arrive at the station?', speech.Voice('en-us', 'm1', 150, 50, 100)),
}
FORMATS = {
    'welcome.wav': ['-c:a', 'pcm_s16le'],
    'weather.flac': ['-ar', '44100', '-ac', '2', '-sample_fmt', 's16'],
    'question.mp3': ['-ar', '44100', '-b:a', '64k'],
    'long.mp3': ['-b:a', '32k'],
}
LONG_VOICES = (speech.Voice('en-us', 'f3', 160, 50, 100), speech.Voice('en-gb', 'm2', 155, 48, 100))
LONG_TEXT = pathlib.Path(__file__).parent / 'long.txt'


def spoken(text, voice, before_s=0.4, after_s=0.5):
    """float32 at 16 kHz with silence around it."""
    audio = speech.speak(text, voice).astype(np.float32) / speech.INT16_FULL_SCALE
    return np.concatenate([np.zeros(int(before_s * speech.SAMPLE_RATE_HZ), np.float32), audio * (0.7 / np.abs(audio).max()),
                           np.zeros(int(after_s * speech.SAMPLE_RATE_HZ), np.float32)])


def converted(audio, path, options):
    """Writes `audio` through ffmpeg with `options`, without tags that change from run to run."""
    with tempfile.NamedTemporaryFile(suffix='.wav') as source:
        soundfile.write(source.name, audio, speech.SAMPLE_RATE_HZ, subtype='PCM_16')
        subprocess.run(['ffmpeg', '-v', 'error', '-y', '-i', source.name, '-map_metadata', '-1', '-bitexact', *options, str(path)], check=True)


def long_recording():
    """About two minutes: the sentences of long.txt, two speakers in turns of five, pauses of 1 to 5 s, soft pink noise under all of it."""
    rng = np.random.default_rng(5)
    parts = []
    for number, line in enumerate(LONG_TEXT.read_text().splitlines()):
        parts.append(spoken(line, LONG_VOICES[number // 5 % 2], 0.3, 0.7 + rng.uniform(0, 3.9)))
    audio = np.concatenate(parts)
    noise = speech.noise_bank(6, len(audio) // speech.SAMPLE_RATE_HZ + 1)['pink'][:len(audio)]
    return audio + np.float32(0.0015) * noise


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--corpus', type=pathlib.Path, required=True)
    parser.add_argument('--out', type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    trained = {row['text'].lower() for row in json.loads((arguments.corpus / 'train.json').read_text())}
    long_lines = LONG_TEXT.read_text(encoding='utf-8').splitlines()
    for text in [*(text for text, _ in EXAMPLES.values()), *long_lines]:
        assert text.lower() not in trained, f'{text!r} is a training sentence'
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, options in FORMATS.items():
        audio = spoken(*EXAMPLES[name]) if name in EXAMPLES else long_recording()
        truth = EXAMPLES[name][0] if name in EXAMPLES else ' '.join(long_lines)
        path = arguments.out / name
        converted(audio, path, options)
        path.with_suffix('.txt').write_text(truth + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
