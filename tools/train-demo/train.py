"""Trains the demonstration model on a CPU: NeMo modules, our TDT loss, an auxiliary CTC head that is dropped afterwards.

At first the CTC head leads, and every other step leaves the transducer out: the transducer learns to guess the next token from the last
ones long before the encoder hears anything, and costs half the step. A step takes a batch of about equal cost: many single sentences, or a few joined ones of up to 30 s. Run it under
`python -m torch.distributed.run` with one process for each core: at this size most time goes into small operations that threads cannot share.
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
import warm_start

CTC_WEIGHT = 0.3
CTC_WEIGHT_EARLY = 1.0
EARLY_TRANSDUCER_SECONDS_MAX = 12.0
EASY_BATCHES = 500
EASY_SECONDS = 3.0
JOINED_CHANCE = 0.25
SINGLE_SECONDS = 30.0
JOINED_SECONDS = 32.0
SINGLES_ONLY_BATCHES = 700
GRADIENT_NORM_MAX = 1.0


def batches(clips, augmenter, tokenizer, seed, rank, ranks, made):
    """Endless (audio list, token lists). The first batches are short and clean, the next single; then 20 % are joined
    clips. 2 % of the rows hold no speech. `made` batches were taken before, in the run that this one resumes.

    Every rank draws the same plan, so that all have a batch of one kind and cost at a time, and takes its own share of it.
    """
    rng, own = np.random.default_rng(seed), np.random.default_rng(seed + 1000 + rank)
    samples = np.array([row['samples'] for row in clips.index])
    chance = np.array([augmenter.share(row) for row in clips.index])
    while True:
        order = np.argsort(samples * rng.uniform(0.85, 1.15, len(samples)))
        order = order[rng.random(len(order)) < chance[order]]
        groups, group, longest = [], [], 0.0
        for item in order:
            longest = max(longest, clips.index[item]['samples'] / speech.SAMPLE_RATE_HZ + 0.4)
            if group and longest * (len(group) + 1) > SINGLE_SECONDS:
                groups.append(group)
                group, longest = [], clips.index[item]['samples'] / speech.SAMPLE_RATE_HZ + 0.4
            group.append(item)
        groups.append(group)
        for number in rng.permutation(len(groups) // ranks) * ranks + rank:
            augmenter.easy = made < EASY_BATCHES
            if augmenter.easy and clips.index[groups[number - rank][-1]]['samples'] > EASY_SECONDS * speech.SAMPLE_RATE_HZ:
                continue
            rows = [(augmenter.single(clips.audio(item)), clips.text(item)) for item in groups[number]]
            if own.random() < 0.2:
                rows.append((augmenter.empty()[:max(len(row[0]) for row in rows)], ''))
            yield prepared(rows, tokenizer)
            made += 1
            if made > SINGLES_ONLY_BATCHES and rng.random() < JOINED_CHANCE:
                yield prepared(joined_rows(clips, augmenter, rng.uniform(8, 30), own), tokenizer)


def joined_rows(clips, augmenter, seconds, rng):
    """Rows of at most `seconds`, half of them of one voice variant throughout."""
    rows = []
    while (len(rows) + 1) * seconds <= JOINED_SECONDS:
        items = rng.choice(augmenter.pool, 24)
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

    def __init__(self, corpus, tokenizer, seed, rank, ranks, made, shares, accents):
        self.corpus, self.tokenizer, self.seed, self.rank, self.ranks = corpus, tokenizer, seed, rank, ranks
        self.made, self.shares, self.accents = made, shares, accents

    def share(self, row):
        """The chance that an epoch takes a clip."""
        heard = not self.accents or row['voice']['accent'] in self.accents
        return self.shares[row['kind']] if heard else 0.0

    def __iter__(self):
        torch.set_num_threads(1)
        clips = speech.Clips(self.corpus / 'train')
        augmenter = speech.Augmenter(clips, self.seed + 50 + self.rank)
        augmenter.share, augmenter.pool, augmenter.items_by_variant = self.share, [], {}
        for item, row in enumerate(clips.index):
            if augmenter.rng.random() < augmenter.share(row):
                augmenter.pool.append(item)
                augmenter.items_by_variant.setdefault(row['voice']['variant'], []).append(item)
        for audios, tokens in batches(clips, augmenter, self.tokenizer, self.seed, self.rank, self.ranks, self.made):
            yield padded(audios, tokens)


def losses(model, ctc_head, batch, with_transducer):
    """(TDT loss per token, CTC loss per token) of one batch; the first is 0 unless `with_transducer`."""
    audio_BN, lengths, targets_BU, target_lengths = batch
    with torch.no_grad():
        features, feature_lengths = model.preprocessor(input_signal=audio_BN, length=lengths)
    encoded_BDT, encoded_lengths = model.encoder(audio_signal=features, length=feature_lengths)
    logprobs_TBV = torch.log_softmax(ctc_head(encoded_BDT.transpose(1, 2)), dim=-1).transpose(0, 1)
    ctc = torch.nn.functional.ctc_loss(logprobs_TBV, targets_BU, encoded_lengths, target_lengths, blank=logprobs_TBV.shape[2] - 1,
                                       reduction='sum', zero_infinity=True) / max(1, int(target_lengths.sum()))
    if not with_transducer:
        return torch.zeros(()), ctc
    predicted_BHU, _, _ = model.decoder(targets=targets_BU, target_length=target_lengths)
    logits_BTUK = model.joint.joint(encoded_BDT.transpose(1, 2), predicted_BHU.transpose(1, 2))
    tokens_mean = max(1.0, float(target_lengths.float().mean()))
    transducer = tdt_loss.tdt_loss(logits_BTUK, targets_BU, encoded_lengths, target_lengths, model_module.DURATIONS)
    return transducer / tokens_mean, ctc


def learning_rate(elapsed, steps, arguments):
    """Linear warm-up over the optimiser's steps, then a cosine over wall time, so that the run ends cold whenever the clock says so."""
    warm = min(1.0, (steps + 1) / 300)
    return arguments.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, elapsed))))


def share_gradients(parameters):
    """Averages the gradients over the processes, in one message."""
    flat = torch.cat([value.grad.reshape(-1) for value in parameters])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    for value, part in zip(parameters, flat.split([value.numel() for value in parameters])):
        value.grad.copy_(part.view_as(value))


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
            # The window and the filter bank are constants, which averaging would only round.
            if value.dtype.is_floating_point and not name.startswith('preprocessor.'):
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
    parser.add_argument('--common-share', type=float, default=1.0, help='share of the runs of everyday words that an epoch takes')
    parser.add_argument('--dictionary-share', type=float, default=1.0, help='share of the runs of dictionary words that an epoch takes')
    parser.add_argument('--accents', nargs='*', help='espeak-ng accents to take clips of; default all')
    parser.add_argument('--early-share', type=float, default=0.5, help='part of the run in which the CTC head leads')
    parser.add_argument('--resume', type=pathlib.Path, help='checkpoint to go on from, with the tokenizer of --out')
    parser.add_argument('--streaming', action='store_true', help="NeMo's cache-aware streaming model")
    parser.add_argument('--warm-start', type=pathlib.Path, help='checkpoint of the offline model whose averaged weights a --streaming run '
                        'begins with, with its tokenizer in --out')
    arguments = parser.parse_args()
    if arguments.warm_start and (arguments.resume or not arguments.streaming):
        parser.error('--warm-start is for a new run with --streaming')
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.distributed.init_process_group('gloo')
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    tokenizer_folder = arguments.out / 'tokenizer'
    if torch.distributed.get_rank() == 0 and not arguments.resume and not arguments.warm_start:
        clips = speech.Clips(arguments.corpus / 'train')
        model_module.train_tokenizer([clips.text(item) for item in range(len(clips))], tokenizer_folder, arguments.vocabulary)
    torch.distributed.barrier()
    model = measure.new_model(tokenizer_folder, arguments.vocabulary, arguments.streaming)
    trainer = Trainer(model, arguments)
    trainer.run()
    torch.distributed.destroy_process_group()


class Trainer:
    """One process of the run. Rank 0 also prints, measures and saves."""

    def __init__(self, model, arguments):
        self.model, self.arguments, self.rank = model, arguments, torch.distributed.get_rank()
        self.ctc_head = torch.nn.Linear(model_module.WIDTH, arguments.vocabulary + 1)
        self.parameters = list(model.parameters()) + list(self.ctc_head.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=arguments.rate, betas=(0.9, 0.98), weight_decay=1e-3, fused=True)
        if arguments.warm_start:
            saved = torch.load(arguments.warm_start, map_location='cpu', weights_only=True)
            model.load_state_dict(warm_start.streaming_state(saved['average'], model, speech.Clips(arguments.corpus / 'valid')))
            self.ctc_head.load_state_dict(saved['ctc'])
        self.average = {name: value.clone() for name, value in model.state_dict().items()}
        self.step, self.heard = 0, 0.0
        if arguments.resume:
            self.restore(torch.load(arguments.resume, map_location='cpu', weights_only=True))
        self.first = self.step
        # The step at which the optimiser began: one that was restored is warm.
        self.cold = 0 if arguments.resume and self.optimizer.state else self.step
        for value in self.parameters:
            torch.distributed.broadcast(value.data, 0)
        self.begin = self.checked = time.time()
        self.end = arguments.until or self.begin + 60 * arguments.minutes

    def restore(self, saved):
        self.model.load_state_dict(saved['model'])
        self.ctc_head.load_state_dict(saved['ctc'])
        if 'optimizer' in saved:
            self.optimizer.load_state_dict(saved['optimizer'])
        self.average = saved['average']
        self.step, self.heard = saved['state']['step'], saved['state']['hours_heard'] * 3600

    def one_step(self, batch, elapsed):
        """Of one optimiser step: transducer loss, CTC loss, 1 if the first was computed."""
        for group in self.optimizer.param_groups:
            group['lr'] = learning_rate(elapsed, self.step - self.cold, self.arguments)
        early = elapsed < self.arguments.early_share
        long = batch[0].shape[1] > EARLY_TRANSDUCER_SECONDS_MAX * speech.SAMPLE_RATE_HZ
        transducer, ctc = losses(self.model, self.ctc_head, batch, not early or (self.step % 2 == 0 and not long))
        for value in self.parameters:
            value.grad = torch.zeros_like(value) if value.grad is None else value.grad.zero_()
        (transducer + (CTC_WEIGHT_EARLY if early else CTC_WEIGHT) * ctc).backward()
        share_gradients(self.parameters)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, GRADIENT_NORM_MAX)
        if torch.isfinite(norm):
            self.optimizer.step()
            if self.rank == 0:
                updated_average(self.average, self.model, self.step)
        self.step += 1
        return float(transducer.detach()), float(ctc.detach()), float(bool(transducer.requires_grad))

    def check(self, valid):
        """Validates the averaged weights and saves."""
        report = measure.quick(self.model, self.average, valid)
        report |= {'step': self.step, 'seconds': round(time.time() - self.begin), 'hours_heard': round(self.heard / 3600, 2)}
        print('valid', json.dumps(report), flush=True)
        save(self.model, self.ctc_head, self.optimizer, self.average, self.arguments.out / 'last.pt', report)
        self.model.train()

    def told(self, ended):
        """Rank 0's word on whether the run is over: clocks may differ by a step."""
        flag = torch.tensor([float(ended)])
        torch.distributed.broadcast(flag, 0)
        return bool(flag)

    def run(self):
        arguments, ranks = self.arguments, torch.distributed.get_world_size()
        valid = speech.Clips(arguments.corpus / 'valid')
        data = Batches(arguments.corpus, self.model.tokenizer, arguments.seed + self.step, self.rank, ranks, self.step,
                       {'grammar': 1.0, 'common': arguments.common_share, 'dictionary': arguments.dictionary_share},
                       arguments.accents)
        loader = iter(torch.utils.data.DataLoader(data, batch_size=None, num_workers=1, prefetch_factor=4))
        totals = np.zeros(3)
        self.model.train()
        while not self.told(time.time() >= self.end):
            batch = next(loader)
            totals += self.one_step(batch, (time.time() - self.begin) / (self.end - self.begin))
            self.heard += ranks * float(batch[1].sum()) / speech.SAMPLE_RATE_HZ
            if self.step % 50 == 0 and self.rank == 0:
                spent = time.time() - self.begin
                print(f'{spent:6.0f} s step {self.step} tdt {totals[0] / max(1.0, totals[2]):.3f} ctc {totals[1] / 50:.3f} '
                      f'{spent / (self.step - self.first):.3f} s/step {self.heard / 3600:.1f} h', flush=True)
                totals[:] = 0
            if self.rank == 0 and time.time() - self.checked > arguments.check_seconds:
                self.checked = time.time()
                self.check(valid)
        if self.rank == 0:
            self.check(valid)


if __name__ == '__main__':
    logging.getLogger('nemo_logger').setLevel(logging.ERROR)
    main()
