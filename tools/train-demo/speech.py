"""Speech for the demonstration model: espeak-ng voices, stored once as 16 kHz clips, and the noise and joining added on the fly."""

import argparse
import concurrent.futures
import dataclasses
import io
import json
import pathlib
import random
import subprocess
import wave

import numpy as np
import soxr

import text as text_module

SAMPLE_RATE_HZ = 16_000
ACCENTS = ('en-us', 'en-gb')
SEEN_VARIANTS = ('', '', 'm1', 'm2', 'm3', 'm4', 'm6', 'm8', 'f1', 'f2', 'f3', 'f5', 'Alex', 'Alicia', 'Andrea', 'Annie', 'adam', 'anika',
                 'antonio', 'aunty', 'belinda', 'benjamin', 'boris', 'caleb', 'david', 'ed', 'edward', 'Gene', 'Hugo', 'john', 'linda', 'marcelo',
                 'Mario', 'Michael', 'michel', 'Mike', 'pablo', 'paul', 'rob', 'robert', 'shelby', 'steph', 'travis', 'zac', 'grandpa', 'klatt2')
UNSEEN_VARIANTS = ('m5', 'm7', 'f4', 'Andy', 'Denis', 'Max', 'steph2', 'victor')
KINDS = (('grammar', 0.80), ('common', 0.17), ('dictionary', 0.03))
INT16_FULL_SCALE = 32768.0


@dataclasses.dataclass
class Voice:
    """What is given to espeak-ng: accent, variant, words per minute, pitch 0-99, amplitude 0-200."""
    accent: str
    variant: str
    speed_wpm: int
    pitch: int
    amplitude: int


def random_voice(rng, variants):
    speed_wpm = min(215, max(115, round(rng.gauss(165, 22))))
    return Voice(rng.choice(ACCENTS), rng.choice(variants), speed_wpm, rng.randrange(25, 76), rng.randrange(50, 121))


def speak(text, voice):
    """int16 mono samples at 16 kHz of `text`, without the silence espeak-ng puts around it."""
    name = voice.accent + ('+' + voice.variant if voice.variant else '')
    done = subprocess.run(['espeak-ng', '-v', name, '-s', str(voice.speed_wpm), '-p', str(voice.pitch), '-a', str(voice.amplitude), '--stdout', text],
                          capture_output=True, check=True)
    data = done.stdout[44:]
    with wave.open(io.BytesIO(done.stdout)) as reader:
        rate_hz = reader.getframerate()
    samples = np.frombuffer(data[:len(data) // 2 * 2], dtype='<i2').astype(np.float32)
    samples = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality='HQ')
    loud = np.flatnonzero(np.abs(samples) > 40)
    assert len(loud) > 0, f'espeak-ng said nothing for {text!r} with {name}'
    samples = samples[max(0, loud[0] - 160):loud[-1] + 320]
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)


def make_split(language, seed, variants, count, taken, kinds=KINDS, seconds_max=13.0):
    """[(text, kind, voice)] of `count` new sentences, none in the set `taken`, which it extends."""
    rng = random.Random(seed)
    rows = []
    names, weights = zip(*kinds)
    while len(rows) < count:
        kind = rng.choices(names, weights)[0]
        sentence = language.sentence(rng, kind)
        voice = random_voice(rng, variants)
        seconds = 2.5 * len(sentence.split()) * 60 / voice.speed_wpm / 2
        if sentence.lower() in taken or seconds > seconds_max:
            continue
        taken.add(sentence.lower())
        rows.append((sentence, kind, voice))
    return rows


def speak_row(row):
    return speak(row[0], row[2])


def save_split(rows, path, workers):
    """Writes PATH.npy (all samples, int16, end to end) and PATH.json (text, kind, voice, first sample, samples); returns hours."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        clips = list(pool.map(speak_row, rows))
    index, first = [], 0
    for (sentence, kind, voice), clip in zip(rows, clips):
        index.append({'text': sentence, 'kind': kind, 'voice': dataclasses.asdict(voice), 'first': first, 'samples': len(clip)})
        first += len(clip)
    np.save(path.with_suffix('.npy'), np.concatenate(clips))
    path.with_suffix('.json').write_text(json.dumps(index))
    return first / SAMPLE_RATE_HZ / 3600


class Clips:
    """A split written by `save_split`, memory-mapped."""

    def __init__(self, path):
        path = pathlib.Path(path)
        self.samples = np.load(path.with_suffix('.npy'), mmap_mode='r')
        self.index = json.loads(path.with_suffix('.json').read_text())

    def __len__(self):
        return len(self.index)

    def text(self, item):
        return self.index[item]['text']

    def audio(self, item):
        """float32 samples in -1..1."""
        row = self.index[item]
        return np.asarray(self.samples[row['first']:row['first'] + row['samples']], dtype=np.float32) / INT16_FULL_SCALE


def noise_bank(seed, seconds=120):
    """{'white': ..., 'pink': ..., 'brown': ...} unit-variance float32 noise."""
    rng = np.random.default_rng(seed)
    bank, count = {}, seconds * SAMPLE_RATE_HZ
    spectrum = np.fft.rfft(rng.standard_normal(count))
    shape = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ), 20.0)
    for name, power in (('white', 0.0), ('pink', 0.5), ('brown', 1.0)):
        noise = np.fft.irfft(spectrum * shape ** -power, count)
        bank[name] = (noise / noise.std()).astype(np.float32)
    return bank


class Augmenter:
    """Adds noise, gain and silence to clips and joins clips, with its own random state. While `easy` it leaves the noise out."""

    def __init__(self, clips, seed):
        self.clips, self.rng, self.bank = clips, np.random.default_rng(seed), noise_bank(seed + 1)
        self.easy = False

    def noise(self, count):
        """Unit-variance noise of a random colour, or babble of three clips."""
        kind = self.rng.choice(('white', 'pink', 'pink', 'brown', 'babble'))
        if kind != 'babble':
            source = self.bank[kind]
            start = self.rng.integers(0, len(source) - count)
            return source[start:start + count]
        mixed = np.zeros(count, np.float32)
        for _ in range(3):
            voice = self.clips.audio(self.rng.integers(len(self.clips)))
            mixed += np.resize(np.roll(voice / (voice.std() + 1e-6), self.rng.integers(len(voice))), count)
        return mixed / (mixed.std() + 1e-6)

    def with_noise(self, audio, snr_db):
        level = float(np.sqrt(np.mean(np.square(audio))) + 1e-7)
        return audio + self.noise(len(audio)) * np.float32(level * 10 ** (-snr_db / 20))

    def finish(self, audio):
        """Noise on most clips, a gain, and never more than full scale."""
        draw = 1.0 if self.easy else self.rng.random()
        if draw < 0.40:
            audio = self.with_noise(audio, self.rng.uniform(5, 35))
        elif draw < 0.50:
            audio = audio + self.rng.uniform(0.5, 3) / INT16_FULL_SCALE * self.noise(len(audio))
        peak = float(np.max(np.abs(audio)) + 1e-7)
        return (audio * np.float32(10 ** self.rng.uniform(-1.5, 0) * 0.99 / peak)).astype(np.float32)

    def silence(self, seconds):
        return np.zeros(int(seconds * SAMPLE_RATE_HZ), np.float32)

    def single(self, audio):
        """One clip between silences of 0 to 1.5 s, mostly short."""
        before, after = self.rng.exponential(0.2, 2).clip(0, 1.5)
        return self.finish(np.concatenate([self.silence(before), audio, self.silence(after)]))

    def joined(self, items, seconds_max=30.0):
        """(audio, text) of the clips `items` glued with pauses of 0.1 to 2.5 s, as many as fit `seconds_max`."""
        parts, texts = [self.silence(self.rng.uniform(0, 1))], []
        seconds = len(parts[0]) / SAMPLE_RATE_HZ
        for item in items:
            audio = self.clips.audio(item)
            pause = min(2.5, 0.1 + self.rng.exponential(0.45))
            if texts and seconds + len(audio) / SAMPLE_RATE_HZ + pause > seconds_max:
                break
            gain = np.float32(10 ** self.rng.uniform(-0.2, 0.0))
            parts += [audio * gain, self.silence(pause)]
            texts.append(self.clips.text(item))
            seconds += len(audio) / SAMPLE_RATE_HZ + pause
        return self.finish(np.concatenate(parts)), ' '.join(texts)

    def empty(self):
        """Audio without speech: digital silence, last-bit noise or louder noise, 0.3 to 12 s."""
        count = int(self.rng.uniform(0.3, 12) * SAMPLE_RATE_HZ)
        draw = self.rng.random()
        if draw < 0.25:
            return np.zeros(count, np.float32)
        level = 1 / INT16_FULL_SCALE if draw < 0.45 else 10 ** self.rng.uniform(-4, -0.8)
        kind = self.rng.choice(('white', 'pink', 'brown'))
        start = self.rng.integers(0, len(self.bank[kind]) - count)
        return (np.float32(level) * self.bank[kind][start:start + count]).clip(-1, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=pathlib.Path, required=True)
    parser.add_argument('--train', type=int, default=44_000, help='training sentences')
    parser.add_argument('--mixed', type=int, default=400, help='items of each test split of all kinds')
    parser.add_argument('--sentences', type=int, default=320, help='items of each test split of grammatical sentences')
    parser.add_argument('--seed', type=int, default=20261121)
    parser.add_argument('--workers', type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    language, taken = text_module.load_language(), set()
    sentences = (('grammar', 1.0),)
    plan = (('test_seen', SEEN_VARIANTS, arguments.mixed, KINDS), ('test_unseen', UNSEEN_VARIANTS, arguments.mixed, KINDS),
            ('valid', SEEN_VARIANTS, 150, KINDS), ('train', SEEN_VARIANTS, arguments.train, KINDS),
            ('sentences_seen', SEEN_VARIANTS, arguments.sentences, sentences), ('sentences_unseen', UNSEEN_VARIANTS, arguments.sentences, sentences))
    sets = {}
    for number, (name, variants, count, kinds) in enumerate(plan):
        rows = make_split(language, arguments.seed + number, variants, count, taken, kinds)
        sets[name] = {row[0].lower() for row in rows}
        if not (arguments.out / name).with_suffix('.json').exists():
            hours = save_split(rows, arguments.out / name, arguments.workers)
            words = {word.strip('.,?').lower() for row in rows for word in row[0].split()}
            print(f'{name}: {len(rows)} items, {hours:.2f} h, {len(words)} distinct words', flush=True)
    for name in sets.keys() - {'train'}:
        assert sets[name].isdisjoint(sets['train']), f'{name} shares a sentence with train'


if __name__ == '__main__':
    main()
