"""From a record to the tokens a model is trained on: prompts, chat templates, masks, the store of tokens."""
