"""The sides of the ladder. Each answers features, encode, stream, predict, joint, decode and words with NumPy arrays."""
