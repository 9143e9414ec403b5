"""Clean labelled conversations for a router, written and checked by language models.

After the Arch-Router paper, section 4.1: topics become policies, policies become conversational intents, intents become
dialogues, and a dialogue is kept when a second reader agrees with its labels.
Run it as ``python -m data.drafting`` with the folder ``build`` on the path.
"""
