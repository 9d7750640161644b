"""Faults of the run folder and of the verbs' settings."""

from . import Fault

FOLDER, PROGRESS, STATUS = "tests/run/test_folder.py", "tests/run/test_progress.py", "tests/cli/test_status.py"
SETTINGS, PLAN, TRACKING = "tests/cli/test_options.py", "tests/plan/test_started_runs.py", "tests/run/test_tracking.py"

FAULTS = [
    Fault("run/folder.py", "{**old, **value} if isinstance(old, dict)", "value if isinstance(old, dict)", FOLDER),
    Fault("run/resume.py", "elif run.rounds_done() or", "elif", FOLDER),
    Fault("run/resume.py", "if was != value:", "if False:", FOLDER),
    Fault("run/resume.py", 'f"{key}.".startswith(f"{name}.")', "key.startswith(name[:1])", FOLDER),
    Fault("run/progress.py", 'record.write("ended")', "pass", PROGRESS),
    Fault("run/progress.py", "if not self.run.config_file.exists():", "if False:", PROGRESS),
    Fault("run/progress.py", "str(error)[:500] if is_ours else", "str(error) if True else", PROGRESS),
    Fault("run/progress.py", "os.ftruncate(handle, 0)", "pass", f"{PROGRESS} {FOLDER}"),
    Fault("run/metrics.py", "bill.flops or 0.0 for bill in known", "0.0 for bill in known", f"{PLAN} {TRACKING}"),
    Fault("run/metrics.py", "exclude_unset=True", "exclude_unset=False", FOLDER),
    Fault("run/status.py", "at >= n_rounds or", "", STATUS),
    Fault("run/status.py", "(Status.KEPT, Status.DUPLICATE,", "(Status.KEPT, Status.CONTAMINATED,", STATUS),
    Fault("cli/status.py", "if state != last:", "if True:", STATUS),
    Fault("cli/options.py", "or name in declared", "", SETTINGS),
    Fault("cli/options.py", "elif _takes_text(field.annotation)", "elif False", SETTINGS),
    Fault("cli/options.py", '"true" if is_flag else', "", SETTINGS),
]
