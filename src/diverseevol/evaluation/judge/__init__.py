"""A model as judge: our answers alone or against an opponent's, in both orders, over any server with the OpenAI chat API.

answers.py → pairs.py → template.py, request.py → asking.py (cost.py; ../api_client.py, ../api_patience.py) → store.py → parse.py, verdicts.py
"""
