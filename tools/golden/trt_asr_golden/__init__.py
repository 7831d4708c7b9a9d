"""Makes the golden files that the tests compare with, from NeMo itself."""
