"""Checkpoint of train.py -> NeMo file and model folder. The averaged weights are taken; the CTC head is left behind."""

import argparse
import gzip
import logging
import pathlib
import sys

import torch

import measure

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'export'))


def load(checkpoint, tokenizer_folder, streaming=False):
    """The averaged model of `checkpoint`, in eval mode, and what the trainer noted when it saved it."""
    saved = torch.load(checkpoint, map_location='cpu', weights_only=True)
    vocabulary = saved['average']['decoder.prediction.embed.weight'].shape[0] - 1
    model = measure.new_model(tokenizer_folder, vocabulary, streaming)
    # The front end's window and filter bank are constants: the model's own are the exact ones.
    front_end = {name: value for name, value in model.state_dict().items() if name.startswith('preprocessor.')}
    model.load_state_dict(saved['average'] | front_end)
    return model.eval(), saved['state']


def main():
    from trt_asr_export.export import export_model
    from trt_asr_export.options import ExportOptions
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=pathlib.Path, required=True, help='folder that train.py wrote')
    parser.add_argument('--nemo', type=pathlib.Path, required=True)
    parser.add_argument('--out', type=pathlib.Path, required=True)
    parser.add_argument('--streaming', action='store_true', help='the run was one with --streaming; the folder gets the streaming graph alone')
    arguments = parser.parse_args()
    model, state = load(arguments.run / 'last.pt', arguments.run / 'tokenizer', arguments.streaming)
    # The tokenizer's files go into the archive; where they lay is no business of its readers.
    model.cfg.tokenizer.dir = 'tokenizer'
    logging.getLogger('nemo_logger').setLevel(logging.ERROR)
    model.save_to(str(arguments.nemo))
    # NeMo reads compressed archives, too; one without a time in it is the same file each time.
    arguments.nemo.write_bytes(gzip.compress(arguments.nemo.read_bytes(), 9, mtime=0))
    contract = export_model(arguments.nemo, arguments.out, ExportOptions(name=arguments.out.name, streaming_only=arguments.streaming, force=True))
    total = sum(file['bytes'] for file in contract['files'].values())
    print(f"step {state['step']}, {state['hours_heard']} h heard, {total:,} bytes in {arguments.out}")


if __name__ == '__main__':
    main()
