"""The place in which documented commands run, with a server that answers and judges."""

import pytest


@pytest.fixture(scope="module")
def workplace(made_model, tmp_path_factory):
    from api_server import serving
    from doc_workplace import Workplace, prepare

    root = tmp_path_factory.mktemp("docs")
    prepare(root / "prepared", made_model)
    with serving(lambda asked: "8 6\nbecause" if "answer 2]" in asked.prompt else "7") as server:
        yield Workplace(root, server.url)
