"""Trains the demonstration model on a CPU: NeMo modules, our TDT loss, an auxiliary CTC head that is dropped afterwards.

A step takes a batch of about equal cost: many single sentences, or a few joined ones of up to 30 s.
"""

import argparse
import json
import logging
import math
import os
import pathlib
import time

import numpy as np
import torch

import measure
import model as model_module
import speech
import tdt_loss

CTC_WEIGHT = 0.3
SINGLE_SECONDS = 40.0
JOINED_SECONDS = 45.0
SINGLES_ONLY_BATCHES = 700
MASK_FROM_SHARE = 0.3
GRADIENT_NORM_MAX = 1.0


def batches(clips, augmenter, tokenizer, seed):
    """Endless (audio list, token lists). After the first batches 22 % are joined clips; 2 % of the rows hold no speech."""
    rng = np.random.default_rng(seed)
    order_by_length = np.argsort([row['samples'] for row in clips.index])
    made = 0
    while True:
        jitter = np.array([clips.index[item]['samples'] for item in order_by_length]) * rng.uniform(0.85, 1.15, len(order_by_length))
        order = order_by_length[np.argsort(jitter)]
        groups, group, longest = [], [], 0.0
        for item in order:
            longest = max(longest, clips.index[item]['samples'] / speech.SAMPLE_RATE_HZ + 0.4)
            if group and longest * (len(group) + 1) > SINGLE_SECONDS:
                groups.append(group)
                group, longest = [], clips.index[item]['samples'] / speech.SAMPLE_RATE_HZ + 0.4
            group.append(item)
        groups.append(group)
        for number in rng.permutation(len(groups)):
            rows = [(augmenter.single(clips.audio(item)), clips.text(item)) for item in groups[number]]
            if rng.random() < 0.25:
                rows.append((augmenter.empty()[:max(len(row[0]) for row in rows)], ''))
            yield prepared(rows, tokenizer)
            made += 1
            if made > SINGLES_ONLY_BATCHES and rng.random() < 0.28:
                yield prepared(joined_rows(clips, augmenter, rng), tokenizer)


def joined_rows(clips, augmenter, rng):
    """Rows of one length between 8 and 30 s, half of them of one voice variant throughout."""
    seconds = rng.uniform(8, 30)
    rows = []
    while (len(rows) + 1) * seconds <= JOINED_SECONDS:
        items = rng.integers(0, len(clips), 24)
        if rng.random() < 0.5:
            items = rng.choice(augmenter.items_by_variant[clips.index[items[0]]['voice']['variant']], 24)
        rows.append(augmenter.joined(items, seconds))
    return rows


def prepared(rows, tokenizer):
    return [row[0] for row in rows], [tokenizer.text_to_ids(row[1]) for row in rows]


def padded(audios, tokens):
    lengths = torch.tensor([len(audio) for audio in audios])
    audio_BN = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(audio) for audio in audios], batch_first=True)
    target_lengths = torch.tensor([len(row) for row in tokens])
    targets_BU = torch.zeros(len(tokens), max(1, int(target_lengths.max())), dtype=torch.long)
    for number, row in enumerate(tokens):
        targets_BU[number, :len(row)] = torch.tensor(row, dtype=torch.long)
    return audio_BN, lengths, targets_BU, target_lengths


class Batches(torch.utils.data.IterableDataset):
    """Runs `batches` in a worker process, so that audio is prepared while a step runs."""

    def __init__(self, corpus, tokenizer, seed):
        self.corpus, self.tokenizer, self.seed = corpus, tokenizer, seed

    def __iter__(self):
        torch.set_num_threads(1)
        clips = speech.Clips(self.corpus / 'train')
        augmenter = speech.Augmenter(clips, self.seed)
        augmenter.items_by_variant = {}
        for item, row in enumerate(clips.index):
            augmenter.items_by_variant.setdefault(row['voice']['variant'], []).append(item)
        for audios, tokens in batches(clips, augmenter, self.tokenizer, self.seed + 2):
            yield padded(audios, tokens)


def losses(model, ctc_head, batch, mask):
    """(TDT loss per token, CTC loss per token) of one batch; `mask` switches SpecAugment on."""
    audio_BN, lengths, targets_BU, target_lengths = batch
    with torch.no_grad():
        features, feature_lengths = model.preprocessor(input_signal=audio_BN, length=lengths)
        if mask:
            features = model.spec_augmentation(input_spec=features, length=feature_lengths)
    encoded_BDT, encoded_lengths = model.encoder(audio_signal=features, length=feature_lengths)
    predicted_BHU, _, _ = model.decoder(targets=targets_BU, target_length=target_lengths)
    logits_BTUK = model.joint.joint(encoded_BDT.transpose(1, 2), predicted_BHU.transpose(1, 2))
    tokens_mean = max(1.0, float(target_lengths.float().mean()))
    transducer = tdt_loss.tdt_loss(logits_BTUK, targets_BU, encoded_lengths, target_lengths, model_module.DURATIONS) / tokens_mean
    logprobs_TBV = torch.log_softmax(ctc_head(encoded_BDT.transpose(1, 2)), dim=-1).transpose(0, 1)
    ctc = torch.nn.functional.ctc_loss(logprobs_TBV, targets_BU, encoded_lengths, target_lengths, blank=logprobs_TBV.shape[2] - 1,
                                       reduction='sum', zero_infinity=True) / max(1, int(target_lengths.sum()))
    return transducer, ctc


def learning_rate(elapsed, step, arguments):
    """Linear warm-up over steps, then a cosine over wall time, so that the run ends cold whenever the clock says so."""
    warm = min(1.0, (step + 1) / 300)
    return arguments.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, elapsed))))


def save(model, ctc_head, optimizer, average, path, state):
    partial = path.with_suffix('.partial')
    torch.save({'model': model.state_dict(), 'ctc': ctc_head.state_dict(), 'optimizer': optimizer.state_dict(), 'average': average,
                'state': state}, partial)
    os.replace(partial, path)


def updated_average(average, model, step):
    """Exponential average of weights and batch-norm statistics over about the last 400 steps."""
    keep = min(0.9975, step / (step + 20))
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                average[name].mul_(keep).add_(value, alpha=1 - keep)
            else:
                average[name].copy_(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--corpus', type=pathlib.Path, required=True)
    parser.add_argument('--out', type=pathlib.Path, required=True)
    parser.add_argument('--until', type=float, help='end of the run, seconds since the epoch; else --minutes from now')
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--rate', type=float, default=2e-3)
    parser.add_argument('--vocabulary', type=int, default=192)
    parser.add_argument('--seed', type=int, default=11)
    parser.add_argument('--check-seconds', type=float, default=300)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(2)
    clips = speech.Clips(arguments.corpus / 'train')
    tokenizer_folder = arguments.out / 'tokenizer'
    model_module.train_tokenizer([clips.text(item) for item in range(len(clips))], tokenizer_folder, arguments.vocabulary)
    run(measure.new_model(tokenizer_folder, arguments.vocabulary), arguments)


def run(model, arguments):
    ctc_head = torch.nn.Linear(model_module.WIDTH, arguments.vocabulary + 1)
    parameters = list(model.parameters()) + list(ctc_head.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=arguments.rate, betas=(0.9, 0.98), weight_decay=1e-3, fused=True)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    valid = speech.Clips(arguments.corpus / 'valid')
    begin = checked = time.time()
    end = arguments.until or begin + 60 * arguments.minutes
    print(f'{sum(value.numel() for value in model.parameters()):,} parameters, {(end - begin) / 60:.1f} minutes', flush=True)
    loader = iter(torch.utils.data.DataLoader(Batches(arguments.corpus, model.tokenizer, arguments.seed), batch_size=None, num_workers=1,
                                              prefetch_factor=4))
    seconds, totals, step = 0.0, np.zeros(2), 0
    model.train()
    while time.time() < end:
        rate = learning_rate((time.time() - begin) / (end - begin), step, arguments)
        for group in optimizer.param_groups:
            group['lr'] = rate
        batch = next(loader)
        transducer, ctc = losses(model, ctc_head, batch, (time.time() - begin) / (end - begin) > MASK_FROM_SHARE)
        optimizer.zero_grad(set_to_none=True)
        (transducer + CTC_WEIGHT * ctc).backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM_MAX)
        if torch.isfinite(norm):
            optimizer.step()
            updated_average(average, model, step)
        totals += (float(transducer.detach()), float(ctc.detach()))
        seconds += float(batch[1].sum()) / speech.SAMPLE_RATE_HZ
        step += 1
        if step % 50 == 0:
            spent = time.time() - begin
            print(f'{spent:6.0f} s step {step} tdt {totals[0] / 50:.3f} ctc {totals[1] / 50:.3f} rate {rate:.2e} '
                  f'{spent / step:.3f} s/step {seconds / spent:.0f}x {seconds / 3600:.1f} h', flush=True)
            totals[:] = 0
        if time.time() - checked > arguments.check_seconds or time.time() >= end:
            checked = time.time()
            report = measure.quick(model, average, valid)
            report |= {'step': step, 'seconds': round(time.time() - begin), 'hours_heard': round(seconds / 3600, 2)}
            print('valid', json.dumps(report), flush=True)
            save(model, ctc_head, optimizer, average, arguments.out / 'last.pt', report)
            model.train()


if __name__ == '__main__':
    logging.getLogger('nemo_logger').setLevel(logging.ERROR)
    main()
