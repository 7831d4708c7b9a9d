"""The demonstration model's configuration, as NeMo's EncDecRNNTBPEModel takes it, and its tokenizer."""

import io
import pathlib

import sentencepiece
from omegaconf import OmegaConf

DURATIONS = (0, 1, 2, 3, 4)
MEL_BINS = 128
WIDTH = 128
LAYERS = 4
FRAMES_MAX = 400
# Encoder frames that a frame of the streaming model attends to: 70 before its chunk, and a chunk of 1 + 6. WHY: NeMo's cache-aware models have
# 70 before; a chunk of 7 frames of 80 ms leaves each word about half a second to end in.
STREAMING_CONTEXT = (70, 6)


def train_tokenizer(texts, folder, vocabulary):
    """SentencePiece BPE with `vocabulary` pieces (unk = 0, no sentence marks); writes tokenizer.model and vocab.txt as NeMo reads them."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Neither text nor model go through a file, because SentencePiece notes the names of its files in the model.
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=vocabulary, model_type='bpe', character_coverage=1.0,
        bos_id=-1, eos_id=-1, pad_id=-1, unk_id=0, num_threads=1, minloglevel=2)
    (folder / 'tokenizer.model').write_bytes(model.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scores = [f'{pieces.id_to_piece(number)}\t{pieces.get_score(number):g}' for number in range(pieces.get_piece_size())]
    (folder / 'tokenizer.vocab').write_text('\n'.join(scores) + '\n', encoding='utf-8')
    names = [pieces.id_to_piece(number) for number in range(1, pieces.get_piece_size())]
    # NeMo's vocab.txt lists the pieces without <unk>, continuation pieces marked '##'.
    lines = [name[1:] if name.startswith('▁') and len(name) > 1 else name if name == '▁' else '##' + name for name in names]
    (folder / 'vocab.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return pieces


def configuration(tokenizer_folder, vocabulary, streaming=False):
    """OmegaConf of the whole model. Mel values are those of parakeet-tdt-0.6b-v3; dither is off from the start.

    With `streaming` it is NeMo's cache-aware model: convolutions look back only, attention sees its chunk and what was before, and the
    features are not normalised, because that would take the whole recording.
    """
    values = offline_configuration(tokenizer_folder, vocabulary)
    if streaming:
        values.preprocessor.normalize = 'NA'
        values.encoder.update({'causal_downsampling': True, 'att_context_style': 'chunked_limited', 'att_context_size': list(STREAMING_CONTEXT),
                               'conv_context_size': 'causal'})
    return values


def offline_configuration(tokenizer_folder, vocabulary):
    return OmegaConf.create({
        'sample_rate': 16000, 'log_prediction': False, 'compute_eval_loss': False, 'skip_nan_grad': False,
        'model_defaults': {'enc_hidden': WIDTH, 'pred_hidden': WIDTH, 'joint_hidden': WIDTH, 'tdt_durations': list(DURATIONS),
                           'num_tdt_durations': len(DURATIONS)},
        'train_ds': None, 'validation_ds': {'manifest_filepath': None, 'sample_rate': 16000, 'batch_size': 8, 'shuffle': False}, 'test_ds': None,
        'tokenizer': {'dir': str(tokenizer_folder), 'type': 'bpe'},
        'preprocessor': {'_target_': 'nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor', 'sample_rate': 16000,
                         'normalize': 'per_feature', 'window_size': 0.025, 'window_stride': 0.01, 'window': 'hann', 'features': MEL_BINS,
                         'n_fft': 512, 'log': True, 'frame_splicing': 1, 'dither': 0.0, 'pad_to': 0, 'preemph': 0.97},
        'encoder': {'_target_': 'nemo.collections.asr.modules.ConformerEncoder', 'feat_in': MEL_BINS, 'feat_out': -1, 'n_layers': LAYERS,
                    'd_model': WIDTH, 'subsampling': 'dw_striding', 'subsampling_factor': 8, 'subsampling_conv_channels': 32,
                    'causal_downsampling': False, 'ff_expansion_factor': 4, 'self_attention_model': 'rel_pos', 'n_heads': 4,
                    'att_context_size': [-1, -1], 'sync_max_audio_length': False, 'xscaling': False, 'untie_biases': True, 'pos_emb_max_len': FRAMES_MAX, 'use_bias': False,
                    'conv_kernel_size': 9, 'conv_norm_type': 'batch_norm', 'dropout': 0.0, 'dropout_pre_encoder': 0.0, 'dropout_emb': 0.0,
                    'dropout_att': 0.0, 'stochastic_depth_drop_prob': 0.0},
        'decoder': {'_target_': 'nemo.collections.asr.modules.RNNTDecoder', 'normalization_mode': None, 'random_state_sampling': False,
                    'blank_as_pad': True, 'vocab_size': vocabulary,
                    'prednet': {'pred_hidden': WIDTH, 'pred_rnn_layers': 2, 't_max': None, 'dropout': 0.1}},
        'joint': {'_target_': 'nemo.collections.asr.modules.RNNTJoint', 'log_softmax': False, 'preserve_memory': False, 'fuse_loss_wer': False,
                  'fused_batch_size': -1, 'num_classes': vocabulary, 'num_extra_outputs': len(DURATIONS),
                  'jointnet': {'joint_hidden': WIDTH, 'activation': 'relu', 'dropout': 0.0, 'encoder_hidden': WIDTH, 'pred_hidden': WIDTH}},
        'decoding': {'strategy': 'greedy_batch', 'model_type': 'tdt', 'durations': list(DURATIONS), 'greedy': {'max_symbols': 10},
                     'beam': {'beam_size': 2, 'return_best_hypothesis': True}},
        'loss': {'loss_name': 'tdt_pytorch', 'tdt_pytorch_kwargs': {'fastemit_lambda': 0.0, 'durations': list(DURATIONS), 'sigma': 0.05,
                                                                   'omega': 0.1}},
        'optim': {'name': 'adamw', 'lr': 0.001},
    })
