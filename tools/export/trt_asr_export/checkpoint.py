"""Where modules take their tensors from: every one is asked for by name and shape, and none may be left over."""

import torch

from .errors import ExportError

REMEDY = "The weights do not belong to the configuration beside them; get the whole .nemo file again"


class Checkpoint:
    """A NeMo state dictionary that checks what is taken and what is not."""

    def __init__(self, state: dict[str, torch.Tensor]):
        self._state = state
        self._taken: set[str] = set()

    def take(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """The tensor `name` as float32; raises ExportError when it is missing, of another shape or not finite."""
        if name not in self._state:
            raise ExportError(f"tensor {name}", f"shape {tuple(shape)}", "none, it is missing", REMEDY)
        tensor = self._state[name]
        if tuple(tensor.shape) != tuple(shape):
            raise ExportError(f"tensor {name}", f"shape {tuple(shape)}", f"shape {tuple(tensor.shape)}", REMEDY)
        if not tensor.is_floating_point():
            raise ExportError(f"tensor {name}", "floating point", str(tensor.dtype), REMEDY)
        self._taken.add(name)
        tensor = tensor.to(torch.float32)
        if not bool(torch.isfinite(tensor).all()):
            raise ExportError(f"tensor {name}", "finite values", "NaN or infinity", "The checkpoint is damaged")
        return tensor

    def has(self, name: str) -> bool:
        """Whether the checkpoint holds `name`: where NeMo's own layer numbers depend on its options."""
        return name in self._state

    def epsilon(self, name: str) -> float:
        """The relative precision in which `name` was stored."""
        return torch.finfo(self._state[name].dtype).eps

    def skip(self, name: str) -> None:
        """Marks a tensor that inference has no use for; it need not be there."""
        self._taken.add(name)

    def finish(self) -> None:
        """Raises ExportError when the checkpoint holds tensors that nobody asked for."""
        extra = sorted(set(self._state) - self._taken)
        if extra:
            shown = ", ".join(extra[:3]) + (f" and {len(extra) - 3} more" if len(extra) > 3 else "")
            raise ExportError("the weights", "no tensors beyond the model's", shown, REMEDY)
