"""Loading and trusting models: folders or Hub ids, plain or PEFT adapters, weights from safetensors only.

No token is added and no embedding is resized: where a tokenizer has no padding token its EOS stands in;
padded positions are masked, so the result is that of the published code's added `[PAD]` (docs/deviations.md).
A model may be sharded over ranks (FSDP2) while it is loaded, so that no rank ever holds the whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import textwrap
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from ..base import dist
from ..base.files import hash_sampled, read_json, write_json
from ..errors import REFUSALS, ConfigError, DiverseEvolError, ModelError

if TYPE_CHECKING:
    import torch
    from torch.nn import Module
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(name: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder or Hub id, with a padding token and an EOS token.

    Raises:
        ModelError: it cannot be loaded, has no fast version, or has no EOS token to end answers with.
    """
    from transformers import AutoTokenizer

    folder = tokenizer_folder(name)
    with loading("the tokenizer of", name):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    if not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of {name!r} ({type(tokenizer).__name__}) has no fast version, which the loss "
            "mask needs. Take a model whose folder has a tokenizer.json."
        )
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"the tokenizer of {name!r} has no EOS token, so answers would never end. Set eos_token in its "
            "tokenizer_config.json."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(
    name: str,
    dtype: str | torch.dtype = "auto",
    trust_remote_code: bool = False,
    is_trainable: bool = False,
    is_sharded: bool = False,
    **kwargs: Any,  # noqa: ANN401 - handed to from_pretrained
) -> PreTrainedModel:
    """A causal language model from a model folder, an adapter folder or a Hub id, on this rank's device.

    An adapter folder (PEFT) is loaded over the base model that it names, quantised as it was when the adapter
    was trained; `is_trainable` keeps the adapter's weights trainable. With `is_sharded` each rank reads and
    holds its share of the base's weights (FSDP2), and every rank must call.

    Raises:
        ModelError: it cannot be loaded, it has no safetensors weights, the adapter's file lacks some, or it
            would be quantised and sharded.
    """
    from transformers import AutoModelForCausalLM

    adapter, base = adapter_config(name), _base_of(name)
    # An absolute path, which an adapter trained on this model then names, so that it is found from anywhere.
    base = str(Path(base).resolve()) if Path(base).is_dir() else base
    beside = Path(name) / "config.json"  # of how the base under the adapter was quantised: save_quantisation
    found = read_json(beside).get("quantization_config") if adapter and beside.is_file() else None
    if found and "quantization_config" not in _config(base, trust_remote_code).to_dict():
        kwargs.setdefault("quantization_config", found)
    if kwargs.get("quantization_config"):  # quantised where it stays: such weights are not moved afterwards
        kwargs.setdefault("device_map", {"": device()})
    dist.start()
    if is_sharded:
        if "quantization_config" in kwargs:
            raise ModelError(
                f"{name!r} cannot be quantised and sharded over ranks (FSDP) at once. Leave one of them out."
            )
        kwargs["distributed_config"] = _shares(name, trust_remote_code)
    kwargs |= {"dtype": dtype, "trust_remote_code": trust_remote_code, "use_safetensors": True}
    with loading("the model", name):
        model, report = AutoModelForCausalLM.from_pretrained(base, output_loading_info=True, **kwargs)
        # transformers would fill what is missing with random numbers.
        wrong = {"missing_keys": "are missing from", "mismatched_keys": "have another shape in"}
        for keys, kind in wrong.items():
            if report[keys]:
                raise ModelError(
                    f"{len(report[keys])} weights of {base!r} {kind} its files, first "
                    f"{min(map(str, report[keys]))}. Copy or save the model again; a model without a "
                    "language-model head cannot be tuned here."
                )
        if adapter:
            from peft import PeftModel

            with warnings.catch_warnings():
                # PEFT leaves weights that the file lacks as they are at first, and warns where nobody looks.
                warnings.filterwarnings("error", ".*missing adapter keys")
                model = PeftModel.from_pretrained(model, name, is_trainable=is_trainable)
    if is_trainable:
        _make_savable(model.generation_config)
    return model if is_sharded or "device_map" in kwargs else model.to(device())


def save_quantisation(model: PreTrainedModel, folder: Path) -> None:
    """Leave beside an adapter how its base was quantised, where `load_model` finds it again."""
    if adapter_config(str(folder)) and getattr(model.config, "quantization_config", None):
        model.config.save_pretrained(folder)


def _shares(name: str, trust_remote_code: bool) -> Any:  # noqa: ANN401 - transformers' DistributedConfig
    """One share a rank, each layer a unit: transformers' own plan knows layers by one name alone."""
    from transformers.distributed import DistributedConfig

    model = empty_model(name, trust_remote_code)
    kinds, modules = set(model._no_split_modules or ()), model.named_modules()
    layers = {re.sub(r"\.\d+(?=\.|$)", ".*", at) for at, module in modules if type(module).__name__ in kinds}
    plan = dict.fromkeys(sorted(layers), "free_full_weight")
    return DistributedConfig(fsdp_size=dist.world_size(), fsdp_plan=plan)


def shards_models(asked: object = False) -> bool:
    """Whether each rank holds only its share of a model: as `asked` (`train.fsdp`) or by the launcher.

    Raises:
        ConfigError: weights are to be offloaded to the CPU, too.
    """
    dist.start()
    if dist.world_size() == 1 or not (asked or dist.FSDP in os.environ):
        return False
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() in dist.TRUE:
        raise ConfigError(
            "the FSDP configuration offloads parameters, which is not supported here. Set "
            "fsdp_offload_params: false in it, and start more processes if the shares do not fit."
        )
    return True


def is_sharded(model: Module) -> bool:
    """Whether FSDP keeps a part of the weights on each rank, so that all take part in every forward pass."""
    if dist.world_size() == 1:
        return False
    from torch.distributed.fsdp import FSDPModule

    return any(isinstance(module, FSDPModule) for module in model.modules())


def name_stops(folder: Path, stops: Collection[int]) -> None:
    """Have a folder's generation_config.json name the tokens that end an answer, beside those known."""
    from transformers.utils import cached_file

    base, own = _base_of(str(folder)), folder / "generation_config.json"

    def of_the_base(file: str) -> dict[str, Any]:
        lenient = ("_raise_exceptions_for_missing_entries", "_raise_exceptions_for_connection_errors")
        found = cached_file(base, file, **dict.fromkeys(lenient, False))
        return dict(read_json(Path(found))) if found else {}

    config = read_json(own) if own.is_file() else of_the_base(own.name)
    if not config:
        plain, keys = of_the_base("config.json"), ("bos_token_id", "eos_token_id", "pad_token_id")
        config = {key: plain[key] for key in keys if plain.get(key) is not None}
    known = config.get("eos_token_id")
    known = known if isinstance(known, list) else [] if known is None else [known]
    if new := sorted(set(stops) - set(known)):
        config.pop("_from_model_config", None)  # else the library may make it anew from config.json
        write_json(own, {**config, "eos_token_id": [*new, *known]})


def _make_savable(config: GenerationConfig) -> None:
    """Mend a generation configuration that transformers reads but would not write, as its messages say.

    Sampling values without `do_sample` (Vicuna's and Llama 2's) mean to sample; what has no effect otherwise
    is left out.
    """
    try:
        config.validate(strict=True)
    except ValueError as error:
        for name, words in re.findall(r"^- `(\w+)`: (.*)", str(error), re.MULTILINE):
            if "`do_sample` is not set to `True`" in words:
                config.do_sample = True
            else:
                setattr(config, name, None)


@contextmanager
def loading(what: str, name: str) -> Iterator[None]:
    """Load something of a model: whatever the libraries raise becomes a ModelError that says what to do."""
    try:
        yield
    except DiverseEvolError:
        raise
    except (*REFUSALS, UserWarning, SafetensorError) as error:
        advice = _advice(what, name, Path(_base_of(name)), error)
        raise ModelError(f"cannot load {what} {name!r}: {one_line(error)} {advice}") from error


def _advice(what: str, name: str, folder: Path, error: Exception) -> str:
    """What was found where a model should lie, and what to do."""
    if Path(name).is_dir():
        files = ", ".join(sorted(item.name for item in Path(name).iterdir())[:8])
        place = f"The folder holds: {files or 'nothing'}."
    elif name.startswith(("/", ".", "~")) or name.count("/") > 1:
        place = "There is no such folder."
    else:
        place = "It is no local folder; as a Hub id it needs the network (HF_TOKEN for gated models)."
    if "trust_remote_code" in str(error):
        return place + " Set trust_remote_code=true if you have read its code and trust it."
    if what.startswith("the tokenizer") and folder.is_dir() and not (folder / "tokenizer.json").is_file():
        return place + (
            " It has no tokenizer.json, which is read here: load its other files (tokenizer.model, "
            "vocab.txt) once with AutoTokenizer, with sentencepiece or tiktoken installed, and "
            "save_pretrained(…) into the folder."
        )
    if folder.is_dir() and not list(folder.glob("*.safetensors")) and list(folder.glob("*.bin")):
        place += (
            " Pickled weights are not loaded: convert them with model.save_pretrained(…) where you trust it."
        )
    return place


def _base_of(name: str) -> str:
    """The model under an adapter, or `name` itself."""
    if (adapter := adapter_config(name)) is None:
        return name
    base = str(adapter["base_model_name_or_path"])
    if Path(base).is_absolute() and not Path(base).is_dir():
        raise ModelError(
            f"the adapter {name!r} needs its base model at {base!r}, which is not there. Put it back, or set "
            "base_model_name_or_path in adapter_config.json."
        )
    return base


def device() -> torch.device:
    """This rank's device."""
    import torch

    return torch.device("cuda", dist.local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def adapter_config(name: str) -> dict[str, Any] | None:
    """The adapter's configuration if `name` is a folder that holds a PEFT adapter."""
    file = Path(name) / "adapter_config.json"
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else None


def tokenizer_folder(name: str) -> str:
    """Where the tokenizer of `name` lies: with the base model for an adapter folder without one."""
    has_own = (Path(name) / "tokenizer_config.json").is_file()
    return name if has_own else _base_of(name)


def check_fits(
    model_name: str, tokenizer: PreTrainedTokenizerBase, max_length: int, trust_remote_code: bool = False
) -> None:
    """Check, without weights, that a model reads `max_length` tokens and knows all of the tokenizer's.

    Raises:
        ModelError: there is no such model, its positions end earlier, or its embedding does.
    """
    n_known = getattr(_config(model_name, trust_remote_code).get_text_config(), "vocab_size", None)
    if n_known and len(tokenizer) > n_known:
        raise ModelError(
            f"the tokenizer of {model_name!r} has {len(tokenizer)} tokens, but the model's embedding "
            f"{n_known} rows. Resize the embedding (model.resize_token_embeddings) and save the model, or "
            "take back the added tokens."
        )
    positions = n_positions(model_name, trust_remote_code)
    if positions and max_length > positions:
        raise ModelError(
            f"prompt.max_length is {max_length}, but {model_name!r} reads {positions} tokens at most. "
            f"Set prompt.max_length={positions} or less."
        )


def n_positions(model_name: str, trust_remote_code: bool = False) -> int | None:
    """How many tokens a model reads by its configuration; None where that names no end."""
    config = _config(model_name, trust_remote_code).get_text_config()
    found = getattr(config, "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def empty_model(model_name: str, trust_remote_code: bool = False) -> PreTrainedModel:
    """A model's modules without its weights (on the meta device); of an adapter folder, its base model."""
    import torch
    from transformers import AutoModelForCausalLM

    config = _config(model_name, trust_remote_code)
    with loading("the model without its weights,", model_name), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)


def _config(model_name: str, trust_remote_code: bool) -> Any:  # noqa: ANN401 - the library's configuration
    from transformers import AutoConfig

    with loading("the model", model_name):
        return AutoConfig.from_pretrained(_base_of(model_name), trust_remote_code=trust_remote_code)


def fingerprint(name: str) -> str:
    """A hash of a model folder (JSON files; size, head and tail of its weights), or the Hub id itself."""
    folder = Path(name)
    if not folder.is_dir():
        return name
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(folder.iterdir()):
        if file.suffix in {".json", ".safetensors", ".model", ".jinja", ".txt"}:
            digest.update(f"{file.name}\0".encode())
            hash_sampled(digest, file, n_blocks=2)
    return digest.hexdigest()


def one_line(error: Exception) -> str:
    """What a library says, in one line of bearable length."""
    text = textwrap.shorten(str(error), 300, placeholder="…") or type(error).__name__
    return text if text.endswith((".", "!", "?", "…")) else text + "."
