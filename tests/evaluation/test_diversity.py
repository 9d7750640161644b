import diverseevol
from diverseevol import vendi
from diverseevol.evaluation import diversity


def test_the_score_is_the_one_that_selection_draws_by():
    assert diversity.vendi_score is vendi.vendi_score is diverseevol.vendi_score
