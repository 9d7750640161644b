import json

from diverseevol.report.verdict_examples import examples_of


def test_best_and_worst_of_the_last_judged_round(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    made.add_verdicts(run, 0, [(10, 1)])
    made.add_verdicts(run, 1, [(5, 5), (9, 2), (2, 8), (6, 4), (7, 8), (8, 3), (1, 9)], answer="<b>Ours</b>\u202e")
    found = examples_of(opened(run.root).main)["vicuna against base"]
    assert [(one.title, one.question) for one in found] == [
        ("Won, 9 to 2", "Question 1?"),
        ("Won, 8 to 3", "Question 5?"),
        ("Even, 5 to 5", "Question 0?"),
        ("Lost, 1 to 9", "Question 6?"),
        ("Lost, 2 to 8", "Question 2?"),
    ]
    first = found[0]
    assert (first.ours, first.opponent) == ("<b>Ours</b>� 1", "Their answer 1")
    assert (first.names, first.scores, first.reply) == (("round-01", "base"), ("9", "2"), "9 2\nBecause 1.")


def test_few_questions_appear_once(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    made.add_verdicts(run, 0, [(5, 6), (7, 3), (4, 4)])
    assert [one.title for one in examples_of(opened(run.root).main)["vicuna against base"]] == [
        "Won, 7 to 3",
        "Even, 4 to 4",
        "Lost, 5 to 6",
    ]


def test_of_two_judgements_of_one_question_the_same_one_counts_as_in_score(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    file = run.verdicts_file("mine", "round-02-vs-base")
    file.parent.mkdir(parents=True)
    answers = {"question": "q", "answer": "a", "opponent_answer": "b"}
    scores = [(0, None, None), (0, 8, 4), (0, 2, 6), (1, 6, 6)]
    lines = [
        {"question_id": 1, "order": order, "score": ours, "opponent_score": theirs, "reply": f"{ours}", **answers}
        for order, ours, theirs in scores
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (one,) = examples_of(opened(run.root).main)["mine against base"]
    assert (one.title, one.reply) == ("Won, 7 to 5", "8")


def test_single_answers_and_unreadable_verdicts(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    file = run.verdicts_file("mine", "round-02")
    file.parent.mkdir(parents=True)
    lines = [
        {"question_id": 1, "score": 8, "answer": "a", "question": "q", "reply": "8"},
        {"question_id": 2, "score": None, "answer": "a"},
        [1],
    ]
    half_written = '{"question_id": 3, "sc'
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + half_written)
    (one,) = examples_of(opened(run.root).main)["mine"]
    assert (one.title, one.opponent) == ("8 points", None)
    file.write_text(json.dumps(lines[1]) + "\n")
    assert examples_of(opened(run.root).main) == {}


def test_a_file_that_is_no_json_at_all_is_passed_over(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    file = run.verdicts_file("vicuna", "round-01-vs-base")
    file.parent.mkdir(parents=True)
    file.write_text('{"question_id":1,\n{"question_id":2,\n{"x":')
    assert examples_of(opened(run.root).main) == {}
