import yaml

from diverseevol.config import load_config
from diverseevol.report.environment import environment_of, report_command


def test_how_a_run_was_made(whole_run, opened):
    found = environment_of(opened(whole_run).main)
    assert found.versions["torch"] == "2.13.0"
    assert found.fingerprint == {"pool": "abcd", "model": "ef01"}
    assert found.command == f"diverseevol run {whole_run}/config.yaml --out NEW_FOLDER"
    stored = yaml.safe_load(found.config)
    assert stored["n_init"] == 6 and "versions" not in stored
    load_config(whole_run / "config.yaml", options={"out": "new"})  # the command's file is one that `run` takes


def test_names_with_blanks_and_marks(made, opened, tmp_path):
    run = made.make_run(tmp_path / "my run; rm", config={"model": "m\u202e"})
    found = environment_of(opened(run.root).main)
    assert f"'{run.root}/config.yaml'" in found.command
    assert "\u202e" not in found.config
    assert report_command(opened(run.root), "a b.html") == f"diverseevol report '{run.root}' --out 'a b.html'"
