"""FastConformer, LSTM predictor, joint and CTC head in plain torch, in the form in which they are exported.

Batch norm, the scale of attention, xscaling and the half of each feed-forward are folded into weights when a module takes
its tensors. Layouts end tensor names: B batch, M mel bins, T mel frames, N encoder frames, S keys (cache and N), D width.
"""
