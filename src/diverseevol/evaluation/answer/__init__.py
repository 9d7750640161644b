"""Answers of a model to the questions of a benchmark, by the prompt that it was trained with.

prompts    question → token ids, cut to fit        sampling      the rule, and each question's own random numbers
decode     a batch of prompts, token by token      choose        scores → the next token, in float64 where it is too near to call
local      a loaded model over all ranks           served        a server's model over HTTP
job        which model answers what, and where     answer_file   what is answered so far, a line a question, on disk
"""
