"""A small made world, so that the whole method can be seen at work offline and in minutes.

- skill, skills, skills_*: what can be asked, and its one right answer
- words: the vocabulary and the facts that questions are built from
- pool: instruction data with the shape of real pools (a long tail, near-duplicates), and a held-out set
- prose: what the base model reads
- tokenizer, model: a tokenizer and a small Llama, made and pre-trained on the spot
"""
