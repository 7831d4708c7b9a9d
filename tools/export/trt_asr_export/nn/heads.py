"""What follows the encoder: LSTM predictor and joint of a transducer, or the CTC head."""

import torch
from torch import nn

from .basic import Linear

ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


class LstmCell(nn.Module):
    """One step of one LSTM layer, written out: a single MatMul for all gates, and no loop for an engine to unroll."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.gates = Linear(2 * width, 4 * width)

    def take(self, source, name: str, layer: int) -> "LstmCell":
        shape = (4 * self.width, self.width)
        weights = [source.take(f"{name}.weight_{kind}_l{layer}", shape) for kind in ("ih", "hh")]
        self.gates.weight.data = torch.cat(weights, dim=1).t().contiguous()
        self.gates.bias.data = sum(source.take(f"{name}.bias_{kind}_l{layer}", shape[:1]) for kind in ("ih", "hh"))
        return self

    def forward(self, x_BH, h_BH, c_BH):
        """Returns the next h and c. The order of the gates is torch's: input, forget, cell, output."""
        entry, forget, cell, out = self.gates(torch.cat((x_BH, h_BH), dim=1)).split([self.width] * 4, dim=1)
        c_BH = torch.sigmoid(forget) * c_BH + torch.sigmoid(entry) * torch.tanh(cell)
        return torch.sigmoid(out) * torch.tanh(c_BH), c_BH


class Predictor(nn.Module):
    """token_B1, state_h_LBH, state_c_LBH -> predicted_B1H, next_state_h_LBH, next_state_c_LBH.

    An utterance starts with the blank id, whose embedding is zero, and zero states.
    """

    def __init__(self, config, vocabulary: int):
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.embedding = nn.Parameter(torch.empty(0), requires_grad=False)
        self.cells = nn.ModuleList(LstmCell(config.width) for _ in range(config.layers))

    def take(self, source, name: str = "decoder") -> "Predictor":
        self.embedding.data = source.take(
            f"{name}.prediction.embed.weight", (self.vocabulary + 1, self.config.width)
        ).clone()
        for layer, cell in enumerate(self.cells):
            cell.take(source, f"{name}.prediction.dec_rnn.lstm", layer)
        return self

    def forward(self, token_B1, state_h_LBH, state_c_LBH):
        x_BH = self.embedding[token_B1[:, 0]]
        next_h, next_c = [], []
        for layer, cell in enumerate(self.cells):
            x_BH, c_BH = cell(x_BH, state_h_LBH[layer], state_c_LBH[layer])
            next_h.append(x_BH)
            next_c.append(c_BH)
        return x_BH[:, None], torch.stack(next_h), torch.stack(next_c)


class Joint(nn.Module):
    """encoded_B1D, predicted_B1H -> logits_BC: tokens, blank, durations; raw, without softmax.

    When `projected` is set the encoder graph has applied `encoded` already, and encoded_B1D has the joint's width.
    """

    def __init__(self, config, encoder_width: int, predictor_width: int, vocabulary: int, projected: bool):
        super().__init__()
        self.classes = vocabulary + 1 + len(config.durations)
        self.encoded = Linear(encoder_width, config.width)
        self.predicted = Linear(predictor_width, config.width)
        self.out = Linear(config.width, self.classes)
        self.activation, self.projected = ACTIVATIONS[config.activation], projected

    def take(self, source, name: str = "joint") -> "Joint":
        self.encoded.take(source, f"{name}.enc")
        self.predicted.take(source, f"{name}.pred")
        # NeMo has a dropout between activation and output when its rate is not 0; it shifts the index.
        index = 2 if source.has(f"{name}.joint_net.2.weight") else 1
        self.out.take(source, f"{name}.joint_net.{index}")
        return self

    def forward(self, encoded_B1D, predicted_B1H):
        encoded = encoded_B1D if self.projected else self.encoded(encoded_B1D)
        hidden_B1H = self.activation(encoded + self.predicted(predicted_B1H))
        return self.out(hidden_B1H[:, 0])


class CtcHead(nn.Module):
    """encoded_BND -> log_probs_BNC, blank last."""

    def __init__(self, width: int, vocabulary: int):
        super().__init__()
        self.out = Linear(width, vocabulary + 1)

    def take(self, source, name: str) -> "CtcHead":
        self.out.take(source, f"{name}.decoder_layers.0", kernel=True)
        return self

    def forward(self, encoded_BND):
        return torch.log_softmax(self.out(encoded_BND), dim=-1)
