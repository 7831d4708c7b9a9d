"""A published model folder back into a checkpoint that train.py --resume goes on from. Needs the tokenizer the folder was trained with.

The export folded batch norm into the convolution before it. Its mean and variance are therefore measured again on clips of the corpus, and
its scale and shift set so that the model computes what it did before. The CTC head is new: the folder has none.
"""

import argparse
import pathlib

import numpy as np
import onnx
import torch

import measure
import model as model_module
import speech

CALIBRATION_CLIPS = 400
CALIBRATION_BATCH = 16
# ONNX keeps LSTM gates as input, output, forget, cell; torch as input, forget, cell, output.
GATES_OF_ONNX = (0, 2, 3, 1)


class Graph:
    """Initializers of one ONNX file by name, and by the node that reads them."""

    def __init__(self, path):
        graph = onnx.load(path).graph
        self.values = {value.name: torch.from_numpy(onnx.numpy_helper.to_array(value).copy()) for value in graph.initializer}
        self.nodes = {node.name: node for node in graph.node}

    def read_by(self, node_name):
        """The weights that a node reads, in the order of its inputs."""
        return [self.values[name] for name in self.nodes[node_name].input if name in self.values]


def encoder_weights(graph, layers):
    """State of NeMo's encoder, without batch norm, and {layer: (weight, bias)} of the folded depthwise convolutions."""
    state = {name.removeprefix('encoder.'): value for name, value in graph.values.items() if name.startswith('encoder.')}
    state['pre_encode.out.weight'] = graph.read_by('/pre_encode/out/MatMul')[0].T
    folded = {}
    for layer in range(layers):
        for name in ('feed_forward1/linear1', 'feed_forward1/linear2', 'feed_forward2/linear1', 'feed_forward2/linear2', 'self_attn/linear_q',
                     'self_attn/linear_k', 'self_attn/linear_v', 'self_attn/linear_pos', 'self_attn/linear_out'):
            weight = graph.read_by(f'/layers.{layer}/{name}/MatMul')[0].T
            state[f"layers.{layer}.{name.replace('/', '.')}.weight"] = weight
        folded[layer] = graph.read_by(f'/layers.{layer}/conv/depthwise_conv/Conv')
        state[f'layers.{layer}.conv.depthwise_conv.weight'] = folded[layer][0]
    return state, folded


def torch_gates(value):
    """[4H, ...] from ONNX's order of gates to torch's."""
    return torch.cat([value.chunk(4)[gate] for gate in GATES_OF_ONNX])


def predictor_weights(graph):
    state = {'prediction.embed.weight': graph.values['decoder.prediction.embed.weight']}
    cells = [node for node in graph.nodes.values() if node.op_type == 'LSTM']
    for layer, cell in enumerate(cells):
        weight, recurrence, bias = (graph.values[name][0] for name in cell.input[1:4])
        prefix = 'prediction.dec_rnn.lstm.'
        state[f'{prefix}weight_ih_l{layer}'], state[f'{prefix}weight_hh_l{layer}'] = torch_gates(weight), torch_gates(recurrence)
        state[f'{prefix}bias_ih_l{layer}'], state[f'{prefix}bias_hh_l{layer}'] = (torch_gates(half) for half in bias.chunk(2))
    return state


def joint_weights(graph):
    state = {name.removeprefix('joint.'): value for name, value in graph.values.items() if name.startswith('joint.')}
    state['joint_net.1.bias'] = graph.values['joint.joint_net.1.bias']
    for name, node in (('enc', '/enc/MatMul'), ('pred', '/pred/MatMul'), ('joint_net.1', '/joint_net/joint_net.1/MatMul')):
        state[f'{name}.weight'] = graph.read_by(node)[0].T
    return {f'joint_net.{name.split("joint_net.")[1]}' if 'joint_net' in name else name: value for name, value in state.items()}


class NormAsIs(torch.nn.Module):
    """Stands in for batch norm while its statistics are measured: adds the folded bias and gathers mean and variance per channel."""

    def __init__(self, bias):
        super().__init__()
        self.bias, self.count = bias, 0
        self.total, self.squares = torch.zeros_like(bias, dtype=torch.float64), torch.zeros_like(bias, dtype=torch.float64)

    def forward(self, value_BCT):
        value_BCT = value_BCT + self.bias[:, None]
        self.count += value_BCT.shape[0] * value_BCT.shape[2]
        self.total += value_BCT.double().sum((0, 2))
        self.squares += value_BCT.double().square().sum((0, 2))
        return value_BCT


@torch.no_grad()
def measure_norms(encoder, preprocessor, folded, clips):
    """Sets the batch norms of `encoder` so that it computes what the folded convolutions did."""
    norms = {layer: encoder.layers[layer].conv.batch_norm for layer in folded}
    for layer, (_, bias) in folded.items():
        encoder.layers[layer].conv.batch_norm = NormAsIs(bias)
    items = sorted(range(min(CALIBRATION_CLIPS, len(clips))), key=lambda item: clips.index[item]['samples'])
    for start in range(0, len(items), CALIBRATION_BATCH):
        audios = [torch.from_numpy(clips.audio(item)) for item in items[start:start + CALIBRATION_BATCH]]
        features, lengths = preprocessor(input_signal=torch.nn.utils.rnn.pad_sequence(audios, batch_first=True),
                                         length=torch.tensor([len(audio) for audio in audios]))
        encoder(audio_signal=features, length=lengths)
    for layer, norm in norms.items():
        seen = encoder.layers[layer].conv.batch_norm
        mean = seen.total / seen.count
        variance = seen.squares / seen.count - mean.square()
        norm.running_mean.copy_(mean - folded[layer][1])
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean)
        encoder.layers[layer].conv.batch_norm = norm


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=pathlib.Path, required=True, help='published folder')
    parser.add_argument('--corpus', type=pathlib.Path, required=True)
    parser.add_argument('--steps', type=int, required=True, help='steps behind the folder, as its model card has them')
    parser.add_argument('--hours', type=float, required=True, help='hours heard, from the same place')
    parser.add_argument('--run', type=pathlib.Path, required=True, help='folder with the tokenizer; first.pt is written there')
    arguments = parser.parse_args()
    graphs = {name: Graph(arguments.model / f'{name}.onnx') for name in ('encoder', 'predictor', 'joint')}
    vocabulary = graphs['predictor'].values['decoder.prediction.embed.weight'].shape[0] - 1
    model = measure.new_model(arguments.run / 'tokenizer', vocabulary).eval()
    encoder, folded = encoder_weights(graphs['encoder'], model_module.LAYERS)
    missing, unknown = model.encoder.load_state_dict(encoder, strict=False)
    assert not unknown and all('batch_norm' in name for name in missing), (missing, unknown)
    model.decoder.load_state_dict(predictor_weights(graphs['predictor']))
    model.joint.load_state_dict(joint_weights(graphs['joint']))
    clips = speech.Clips(arguments.corpus / 'valid')
    measure_norms(model.encoder, model.preprocessor, folded, clips)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    print({name: rate for name, rate in measure.quick(model, state, clips).items() if name != 'examples'})
    head = torch.nn.Linear(model_module.WIDTH, vocabulary + 1)
    torch.save({'model': state, 'average': state, 'ctc': head.state_dict(), 'state': {'step': arguments.steps, 'hours_heard': arguments.hours}},
               arguments.run / 'first.pt')


if __name__ == '__main__':
    main()
