"""Answers of a model to the questions of a benchmark, by the prompt that it was trained with.

prompts    question → token ids, cut to fit        sampling      the rule, and each question's own random numbers
decode     a batch of prompts, token by token      choose, draw  scores → the next token
exact      what is too near to call, in float64    local         a loaded model over all ranks
served     a server's model over HTTP              answer_file   what is answered so far, on disk
job        which model answers what, and where     line          a line of the file
"""
