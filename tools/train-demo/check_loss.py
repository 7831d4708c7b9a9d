"""Compares tdt_loss with a naive dynamic programme and, where NeMo is installed, with NeMo's reference loss."""

from unittest import mock

import torch

import tdt_loss

DURATIONS = (0, 1, 2, 3, 4)
SIGMA = 0.05
TOLERANCE = 1e-4


def naive_loss(logits_TUK, targets, frames, labels):
    """-log p of one utterance by the recursion as the paper writes it, one cell at a time."""
    blank = logits_TUK.shape[-1] - 1 - len(DURATIONS)
    token = torch.log_softmax(logits_TUK[..., :blank + 1], -1) - SIGMA
    duration = torch.log_softmax(logits_TUK[..., blank + 1:], -1)
    alpha = {}
    for t in range(frames):
        for u in range(labels + 1):
            terms = [torch.tensor(0.0)] if (t, u) == (0, 0) else []
            for number, d in enumerate(DURATIONS):
                if d > 0 and (t - d, u) in alpha:
                    terms.append(alpha[t - d, u] + token[t - d, u, blank] + duration[t - d, u, number])
                if (t - d, u - 1) in alpha:
                    terms.append(alpha[t - d, u - 1] + token[t - d, u - 1, targets[u - 1]] + duration[t - d, u - 1, number])
            if terms:
                alpha[t, u] = torch.logsumexp(torch.stack(terms), 0)
    ends = [alpha[frames - d, labels] + token[frames - d, labels, blank] + duration[frames - d, labels, number]
            for number, d in enumerate(DURATIONS) if d > 0 and (frames - d, labels) in alpha]
    return -torch.logsumexp(torch.stack(ends), 0)


def nemo_loss(logits, targets, lengths, target_lengths, blank):
    """NeMo's TDTLossPytorch, which moves everything to a GPU unless that is patched out."""
    from nemo.collections.asr.losses.rnnt_pytorch import TDTLossPytorch
    loss = TDTLossPytorch(blank=blank, durations=list(DURATIONS), reduction='mean_batch', sigma=SIGMA)
    with mock.patch.object(torch.Tensor, 'cuda', lambda self, *_, **__: self):
        return loss(acts=logits, labels=targets, act_lens=lengths, label_lens=target_lengths)


def main():
    torch.manual_seed(0)
    batch, frames, labels, vocabulary = 3, 9, 4, 6
    logits = torch.randn(batch, frames, labels + 1, vocabulary + 1 + len(DURATIONS))
    targets = torch.randint(0, vocabulary, (batch, labels))
    lengths, target_lengths = torch.tensor([9, 3, 7]), torch.tensor([4, 2, 0])
    ours = tdt_loss.tdt_loss(logits, targets, lengths, target_lengths, DURATIONS, SIGMA)
    naive = torch.stack([naive_loss(logits[row], targets[row].tolist(), int(lengths[row]), int(target_lengths[row])) for row in range(batch)]).mean()
    assert abs(float(ours - naive)) <= TOLERANCE, f'expected {float(naive)} but received {float(ours)}'
    nemo = nemo_loss(logits, targets, lengths, target_lengths, vocabulary)
    assert abs(float(ours - nemo)) <= TOLERANCE, f'expected {float(nemo)} but received {float(ours)}'
    print(f'tdt_loss {float(ours):.6f}, naive {float(naive):.6f}, NeMo {float(nemo):.6f}')


if __name__ == '__main__':
    main()
