"""Weights of the offline model as the beginning of the streaming one.

Three things differ. Causal subsampling pads two in front and one behind where the offline one pads one on each side, in time and over the mel
bins alike: after three layers of stride 2 its output k + 1 stands at bin 8 k + 1, where the offline one's output k stands at 8 k. The
depthwise convolutions look back only. The features are not normalised, so the first convolution does it, with one mean and deviation for all bins.
"""

import torch

# Clips whose log-mel mean and deviation the first convolution takes over. WHY: an hour of them moves neither by 1 %.
STATISTICS_CLIPS = 200


@torch.no_grad()
def mel_statistics(preprocessor, clips):
    """Mean and standard deviation of the features over all frames and bins."""
    count, total, squares = 0, 0.0, 0.0
    for item in range(min(STATISTICS_CLIPS, len(clips))):
        audio = torch.from_numpy(clips.audio(item))[None]
        features, lengths = preprocessor(input_signal=audio, length=torch.tensor([audio.shape[1]]))
        valid = features[0, :, :int(lengths[0])].double()
        count, total, squares = count + valid.numel(), total + float(valid.sum()), squares + float(valid.square().sum())
    mean = total / count
    return mean, (squares / count - mean ** 2) ** 0.5


def causal_kernel(symmetric):
    """[C, 1, K] centred on its frame to [C, 1, K] that ends on it: the taps behind the frame are lost, those before it keep their place."""
    half = symmetric.shape[2] // 2
    kernel = torch.zeros_like(symmetric)
    kernel[:, :, half:] = symmetric[:, :, :half + 1]
    return kernel


def streaming_state(offline, model, clips):
    """The state dict of the streaming `model` from that of the offline one; `clips` give the mel statistics."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for name, value in offline.items():
        if name.startswith('preprocessor.'):
            continue
        if name.endswith('depthwise_conv.weight'):
            value = causal_kernel(value)
        if name == 'encoder.pre_encode.out.weight':
            channels = model.encoder.pre_encode._conv_channels
            old, new = value.unflatten(1, (channels, -1)), torch.zeros_like(state[name]).unflatten(1, (channels, -1))
            new[:, :, 1:] = old
            value = new.flatten(1)
        state[name].copy_(value)
    mean, deviation = mel_statistics(model.preprocessor, clips)
    weight = state['encoder.pre_encode.conv.0.weight'] / deviation
    state['encoder.pre_encode.conv.0.weight'].copy_(weight)
    state['encoder.pre_encode.conv.0.bias'].sub_(mean * weight.sum((1, 2, 3)))
    return state
