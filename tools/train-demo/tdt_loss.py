"""The token-and-duration transducer loss in plain torch, vectorised over batch and labels, for a CPU.

Source: Xu et al. 2023, "Efficient Sequence Transduction by Jointly Predicting Tokens and Durations", equations of section 3.
"""

import torch

IMPOSSIBLE = -1e9


def tdt_loss(logits_BTUK, targets_BU, lengths_B, target_lengths_B, durations, sigma=0.05):
    """Mean over the batch of -log p(targets | logits), nats per utterance.

    logits_BTUK: raw joint output, U = longest target + 1, K = V + 1 + len(durations), blank = V.
    targets_BU: token ids, padded with anything below V. lengths_B / target_lengths_B: valid frames and labels.
    durations: (0, 1, 2, ...), the first of them 0. sigma: what the paper subtracts from every token log-probability.
    """
    assert durations[0] == 0
    assert list(durations) == sorted(set(durations))
    frames, labels = logits_BTUK.shape[1], logits_BTUK.shape[2] - 1
    blank_id = logits_BTUK.shape[3] - 1 - len(durations)
    tokens = logits_BTUK[..., :blank_id + 1]
    normaliser_BTU = torch.logsumexp(tokens, dim=-1) + sigma
    blank_BTU = tokens[..., blank_id] - normaliser_BTU
    index = targets_BU[:, None, :, None].expand(-1, frames, -1, 1)
    label_BTU = tokens[:, :, :labels].gather(3, index).squeeze(3) - normaliser_BTU[:, :, :labels]
    duration_BTUD = torch.log_softmax(logits_BTUK[..., blank_id + 1:], dim=-1)
    alpha = forward_variables(blank_BTU, label_BTU, duration_BTUD, durations)
    return -final_log_probability(alpha, blank_BTU, duration_BTUD, durations, lengths_B, target_lengths_B).mean()


def forward_variables(blank_BTU, label_BTU, duration_BTUD, durations):
    """[alpha at frame 0, alpha at frame 1, ...], each [B, U]. Arcs of one frame (duration 0) are a scan over labels."""
    frames = blank_BTU.shape[1]
    blanks = blank_BTU.unbind(1)
    label_arcs = (label_BTU.unsqueeze(3) + duration_BTUD[:, :, :-1]).unbind(1)
    duration_arcs = duration_BTUD.unbind(1)
    start = torch.full_like(blanks[0], IMPOSSIBLE)
    start = torch.cat([torch.zeros_like(start[:, :1]), start[:, 1:]], dim=1)
    alpha = []
    for frame in range(frames):
        incoming = [start] if frame == 0 else []
        for number, duration in enumerate(durations):
            source = frame - duration
            if duration == 0 or source < 0:
                continue
            incoming.append(alpha[source] + blanks[source] + duration_arcs[source][:, :, number])
            moved = alpha[source][:, :-1] + label_arcs[source][:, :, number]
            incoming.append(torch.nn.functional.pad(moved, (1, 0), value=IMPOSSIBLE))
        reached = incoming[0] if len(incoming) == 1 else torch.logsumexp(torch.stack(incoming), dim=0)
        along = torch.nn.functional.pad(torch.cumsum(label_arcs[frame][:, :, 0], dim=1), (1, 0))
        alpha.append(torch.logcumsumexp(reached - along, dim=1) + along)
    return alpha


def final_log_probability(alpha, blank_BTU, duration_BTUD, durations, lengths_B, target_lengths_B):
    """log p of ending: a blank whose duration lands exactly on the utterance's length, after its last label."""
    rows = torch.arange(len(lengths_B))
    alpha_BTU = torch.stack(alpha, dim=1)
    endings = []
    for number, duration in enumerate(durations):
        if duration == 0:
            continue
        source = lengths_B - duration
        safe = source.clamp(min=0)
        value = (alpha_BTU[rows, safe, target_lengths_B] + blank_BTU[rows, safe, target_lengths_B]
                 + duration_BTUD[rows, safe, target_lengths_B, number])
        endings.append(torch.where(source >= 0, value, torch.full_like(value, IMPOSSIBLE)))
    return torch.logsumexp(torch.stack(endings), dim=0)
