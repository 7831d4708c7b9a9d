"""Checkpoint of train.py -> NeMo file and model folder. The averaged weights are taken; the CTC head is left behind."""

import argparse
import logging
import pathlib
import sys

import torch

import measure

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'export'))


def load(checkpoint, tokenizer_folder):
    """The averaged model of `checkpoint`, in eval mode, and what the trainer noted when it saved it."""
    saved = torch.load(checkpoint, map_location='cpu', weights_only=True)
    vocabulary = saved['average']['decoder.prediction.embed.weight'].shape[0] - 1
    model = measure.new_model(tokenizer_folder, vocabulary)
    model.load_state_dict(saved['average'])
    return model.eval(), saved['state']


def main():
    from trt_asr_export.export import export_model
    from trt_asr_export.options import ExportOptions
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=pathlib.Path, required=True, help='folder that train.py wrote')
    parser.add_argument('--nemo', type=pathlib.Path, required=True)
    parser.add_argument('--out', type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    model, state = load(arguments.run / 'last.pt', arguments.run / 'tokenizer')
    logging.getLogger('nemo_logger').setLevel(logging.ERROR)
    model.save_to(str(arguments.nemo))
    contract = export_model(arguments.nemo, arguments.out, ExportOptions(name='demo-en', force=True))
    total = sum(file['bytes'] for file in contract['files'].values())
    print(f"step {state['step']}, {state['hours_heard']} h heard, {total:,} bytes in {arguments.out}")


if __name__ == '__main__':
    main()
