import hashlib
from itertools import islice

from diverseevol.demo import model
from diverseevol.demo.prose import lines
from diverseevol.demo.skills import SKILLS


def test_a_changed_text_needs_a_new_model_version():
    digest = hashlib.sha256("\n".join(islice(lines(0), 5000)).encode()).hexdigest()
    assert (model.VERSION, digest[:16]) == (1, "c6aa2da35eedb22b"), (
        "the text has changed: count up model.VERSION, then update this line"
    )


def test_a_third_of_the_lines_are_conversations_between_two_people():
    text = list(islice(lines(1), 3000))
    conversations = [line for line in text if " asked " in line]
    assert 0.28 < len(conversations) / len(text) < 0.39
    for line in conversations:
        asks, replies = line.split(" asked ")[0], line.split(" asked ")[1].split(":")[0]
        assert asks != replies
        assert f'" {replies} told {asks}: "' in line


def test_text_is_plain_and_changes_with_the_seed():
    text = "\n".join(islice(lines(0), 3000))
    assert "###" not in text
    assert "{" not in text
    assert list(islice(lines(0), 50)) != list(islice(lines(1), 50))


def test_every_skill_is_spoken_of():
    text = "\n".join(islice(lines(0), 3000))
    heads = [skill.statement.split("{")[0].split()[0] for skill in SKILLS if not skill.statement.startswith("{")]
    assert all(head in text for head in heads)
