"""What the tests share: a tiny model made on the spot, a small pool, real data where it is there."""

import json
import os
import shutil
import signal
from pathlib import Path

# One thread: with several, a machine that is busy elsewhere makes OpenMP's barriers many times slower than the work between them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

# A job in the background of a script ignores Ctrl-C, and so would every program that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest

TESTS = Path(__file__).parent
LONGEST_FIRST = (
    "acceptance/test_resume", "docs/test_fences", "distributed/", "models/test_embed_on_ranks", "acceptance/test_runs", "acceptance/",
    "loop/", "compare/", "report/test_browser", "models/", "cli/", "evaluation/", "plan/", "demo/", "test_",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Files that start processes or tune models come first; the short ones then fill what the workers have left at the end."""

    def place(item):
        name = item.path.relative_to(TESTS).as_posix()
        return next((at for at, start in enumerate(LONGEST_FIRST) if name.startswith(start)), len(LONGEST_FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real pools and models, read in place; they are not part of the repository."""
    folder = TESTS.parents[1] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real data at {folder}, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def made_model(tmp_path_factory) -> Path:
    """A random Llama of width 32 with the demo's tokenizer."""
    from diverseevol.demo.model import made_model

    return made_model(tmp_path_factory.mktemp("model") / "tiny", hidden_size=32, num_layers=1, vocab_size=512)


@pytest.fixture(scope="session")
def lively_model(made_model, tmp_path_factory) -> Path:
    """The same with weights so large and a head so different that it does not say the same to everything."""
    import torch

    from diverseevol.models.load import load_model, load_tokenizer

    folder = tmp_path_factory.mktemp("lively")
    model, rng = load_model(str(made_model)), torch.Generator().manual_seed(1)
    model.get_output_embeddings().weight = torch.nn.Parameter(torch.empty(512, 32))
    model.config.tie_word_embeddings = False
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.5, generator=rng)
    model.save_pretrained(folder)
    load_tokenizer(str(made_model)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pool_file(tmp_path_factory) -> Path:
    """Two hundred rows of the demo's pool as JSONL."""
    from diverseevol.demo.pool import make_pool

    file = tmp_path_factory.mktemp("pool") / "pool.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in make_pool(200, seed=1)))
    return file


@pytest.fixture(scope="session")
def outer_model(made_model, tmp_path_factory) -> Path:
    """A random sentence-transformers model: a Bert of width 24, the mean over its tokens, unit length; at most 40 tokens are read."""
    pytest.importorskip("sentence_transformers", reason="needs the extra sentence-transformers")
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("outer")
    tokenizer = AutoTokenizer.from_pretrained(made_model)
    tokenizer.chat_template = None  # else sentence-transformers would write each text as a chat
    sizes = dict(hidden_size=24, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert"), max_seq_length=40), Pooling(24, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "sbert"))
    return folder / "sbert"


@pytest.fixture(scope="module")
def browser():
    """A real headless Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium (apt-get install chromium), which is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    arguments = [
        "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    ]  # fmt: skip
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()
