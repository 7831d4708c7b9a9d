"""Reads .nemo archives (tar or tar.gz) without trusting them: sizes, names and pickles are checked before use."""

import pickle
import re
import tarfile
import warnings
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
import yaml

from .digest import sha256_hex
from .errors import ExportError

CONFIG, WEIGHTS = "model_config.yaml", "model_weights.ckpt"

# CONTRACT: what is unpacked is bounded.
# SOURCE: the largest published checkpoints of this architecture (1.1 B parameters) weigh 4.4 GB; their tokenizers 1 MB.
# WHY: a compressed archive of a few kilobytes can claim terabytes.
MEMBERS_MAX = 1000
CONFIG_BYTES_MAX = 16 << 20
OTHER_BYTES_MAX = 256 << 20
OTHERS_BYTES_MAX = 512 << 20
VALUES_MAX = 1_000_000
WEIGHTS_BYTES_MAX = 16 << 30
READ_BYTES_MAX = 64 << 20
# CONTRACT: tensors claim no more bytes than this many times the file that holds them.
# SOURCE: NeMo's models without untied biases share one small tensor among their layers; every other one is stored once.
# WHY: views of a few stored bytes can stand for any number of elements, which would be written out.
SHARED_MAX = 2
COPY_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"

REMEDY = "Use the .nemo file as NeMo's save_to wrote it"


@dataclass(frozen=True)
class Archive:
    """An opened .nemo file: its configuration, and where its weights and its other files, by name, lie while it is open."""

    path: Path
    sha256: str
    config: dict
    weights: Path
    files: dict[str, Path]

    def file(self, reference: str, field: str) -> bytes:
        """The member that a configuration value such as 'nemo:1a2b_tokenizer.model' names."""
        name = PurePosixPath(reference.removeprefix("nemo:")).name
        # NeMo puts a hash before the names of what it packs; a configuration may still hold the plain name.
        packed = [name] if name in self.files else [known for known in self.files if known.endswith("_" + name)]
        if len(packed) != 1:
            raise ExportError(field, "a file of the archive", repr(reference), REMEDY)
        size = self.files[packed[0]].stat().st_size
        if size > READ_BYTES_MAX:
            raise ExportError(field, f"a file of at most {READ_BYTES_MAX} bytes", f"{size} bytes", REMEDY)
        return self.files[packed[0]].read_bytes()


def _checked_name(member: tarfile.TarInfo) -> str:
    """The member's base name; refuses whatever would land outside of one folder."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise ExportError("a member of the archive", "a plain relative name", repr(member.name), REMEDY)
    if not (member.isfile() or member.isdir()):
        raise ExportError(f"member {member.name}", "a regular file", "a link or a device", REMEDY)
    return path.name


def _limit(name: str) -> int:
    if name == WEIGHTS:
        return WEIGHTS_BYTES_MAX
    return CONFIG_BYTES_MAX if name == CONFIG else OTHER_BYTES_MAX


def _copy(stream, target, size: int, name: str) -> None:
    left = size
    while left:
        block = stream.read(min(COPY_BYTES, left))
        if not block:
            raise ExportError(f"member {name}", f"{size} bytes", f"{size - left} bytes", "The archive is cut off")
        target.write(block)
        left -= len(block)


def _unpack(tar: tarfile.TarFile, folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    others = 0
    for count, member in enumerate(tar):
        if count >= MEMBERS_MAX:
            raise ExportError("the archive", f"at most {MEMBERS_MAX} members", "more", REMEDY)
        name = _checked_name(member)
        if member.isdir():
            continue
        if member.size > _limit(name):
            raise ExportError(f"member {name}", f"at most {_limit(name)} bytes", f"{member.size} bytes", REMEDY)
        others += member.size if name != WEIGHTS else 0
        if others > OTHERS_BYTES_MAX:
            limit = f"at most {OTHERS_BYTES_MAX} bytes beside the weights"
            raise ExportError("the archive", limit, f"{others} bytes or more", REMEDY)
        if name in found:
            raise ExportError(f"member {name}", "one file of this name", "two", REMEDY)
        # A number, not the member's name, so that no name can do harm on disk.
        found[name] = folder / f"member{count}"
        with open(found[name], "wb") as target:
            _copy(tar.extractfile(member), target, member.size, name)
    return found


def _values(config, known: dict[int, int]) -> int:
    """How many values `config` stands for once its aliases are written out; a cycle counts as too many."""
    if not isinstance(config, (dict, list)):
        return 1
    if id(config) not in known:
        known[id(config)] = VALUES_MAX + 1
        inner = config.values() if isinstance(config, dict) else config
        known[id(config)] = 1 + sum(_values(value, known) for value in inner)
    return known[id(config)]


def _read_config(path: Path) -> dict:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise
    except Exception as error:  # PyYAML's constructors raise whatever Python does on a value like 2020-13-45.
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExportError(CONFIG, "a YAML mapping", line, REMEDY) from error
    if not isinstance(config, dict):
        raise ExportError(CONFIG, "a YAML mapping", type(config).__name__, REMEDY)
    # A few nested aliases stand for billions of values.
    if _values(config, {}) > VALUES_MAX:
        raise ExportError(CONFIG, f"at most {VALUES_MAX} values", "more, by its aliases", REMEDY)
    return config


@contextmanager
def opened(path: Path, scratch: Path):
    """Unpacks the archive at `path` into the folder `scratch` and yields it as an Archive."""
    path = Path(path)
    if not path.is_file():
        raise ExportError("the checkpoint", "a .nemo file", f"{path}, which is no file", "Check the path")
    try:
        with open(path, "rb") as stream:
            mode = "r:gz" if stream.read(2) == GZIP_MAGIC else "r:"
        with tarfile.open(path, mode) as tar:
            found = _unpack(tar, scratch)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ExportError(str(path), "a tar or tar.gz archive", f"a file that is none ({error})", REMEDY) from error
    for name in (CONFIG, WEIGHTS):
        if name not in found:
            raise ExportError(str(path), f"a member {name}", ", ".join(sorted(found)) or "no members", REMEDY)
    others = {name: file for name, file in found.items() if name not in (CONFIG, WEIGHTS)}
    yield Archive(path, sha256_hex(path), _read_config(found[CONFIG]), found[WEIGHTS], others)


def _why(error: Exception) -> str:
    """What torch found. Its own text is not passed on: it advises to load the code that was found."""
    called = re.search(r"GLOBAL (\w[\w.]*)", str(error))
    if called:
        return f"one that calls {called.group(1)}"
    if isinstance(error, pickle.UnpicklingError):
        return "one that holds something else"
    return f"one that does not load ({' '.join(str(error).split())[:160] or type(error).__name__})"


def _stored_bytes(name: str, tensor: torch.Tensor) -> int:
    """The bytes of a tensor that is dense and whose every element is stored; refuses any other."""
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized or tensor.device.type != "cpu":
        kind = f"a {tensor.layout} one on {tensor.device}"
        raise ExportError(f"tensor {name}", "a plain dense tensor", kind, REMEDY)
    claimed, stored = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if claimed > stored:
        raise ExportError(f"tensor {name}", f"the {stored} bytes that are stored", f"{claimed} bytes", REMEDY)
    return claimed


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The state dictionary of a checkpoint file: tensors alone, no code, none absurdly large."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Files of torch before 1.6 are no zip archives and cannot be mapped.
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError:
        raise
    except Exception as error:  # the unpickler raises whatever damaged bytes lead it to
        remedy = "Save the weights with NeMo again; files that carry code or are cut off are never loaded"
        raise ExportError(WEIGHTS, "a torch file that holds tensors alone", _why(error), remedy) from error
    if not isinstance(state, dict):
        raise ExportError(WEIGHTS, "a dictionary of tensors", type(state).__name__, REMEDY)
    claimed = 0
    for name, value in state.items():
        if not isinstance(name, str):
            key = f"{repr(name)[:60]}, of type {type(name).__name__}"
            raise ExportError(f"a key of {WEIGHTS}", "a tensor's name", key, REMEDY)
        if not isinstance(value, torch.Tensor):
            raise ExportError(f"{WEIGHTS}: {name}", "a tensor", type(value).__name__, REMEDY)
        claimed += _stored_bytes(name, value)
    limit = SHARED_MAX * path.stat().st_size
    if claimed > limit:
        raise ExportError(WEIGHTS, f"tensors of at most {limit} bytes, by its size", f"{claimed} bytes", REMEDY)
    return state
